"""The feed live, as server-sent events: taken up again by `Last-Event-ID`, kept open by heartbeats."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse

from kit.errors import DomainError
from kit.identity import CallerDep
from kit.tokens import Caller
from notifier.domain.feeding import Reader
from notifier.entrypoints.parts import LanguageDep, Parts, PartsDep, ReaderDep, refusals

router = APIRouter(tags=["notifications"])

HEARTBEAT_S: Final = 15.0
_DESCRIBED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/event-stream": {}}, "description": "Events named `notification`"}
}


@router.get(
    "/notifications/stream",
    summary="The caller's feed as it grows",
    response_class=StreamingResponse,
    responses={**refusals(429), **_DESCRIBED},
)
async def stream(
    request: Request,
    parts: PartsDep,
    *,
    caller: CallerDep,
    reader: ReaderDep,
    language: LanguageDep,
    last_event_id: Annotated[UUID | None, Header(description="the last event that the client has")] = None,
) -> StreamingResponse:
    """Send `Accept: text/event-stream`. A comment says that it has begun: what is listed after that leaves no gap.

    The stream ends with the token; come back with a new one.
    """
    parts.live.check_room(reader)
    events = _events(request, parts, caller=caller, reader=reader, language=language, last=last_event_id)
    return StreamingResponse(events, media_type="text/event-stream", headers={"x-accel-buffering": "no"})


async def _events(
    request: Request, parts: Parts, *, caller: Caller, reader: Reader, language: str, last: UUID | None
) -> AsyncIterator[bytes]:
    async for told in parts.live.follow(reader, last=last, silence_s=HEARTBEAT_S):
        if not await _still_allowed(request, parts, caller):
            return
        if told is None:
            yield b": heartbeat\n\n"
        else:
            said = parts.live.notification(told, language=language).model_dump_json()
            yield f"id: {told.id}\nevent: notification\ndata: {said}\n\n".encode()


async def _still_allowed(request: Request, parts: Parts, caller: Caller) -> bool:
    """A revoked session or a lost membership ends the stream before it says anything more."""
    try:
        now_calling = await parts.identity.caller(request)
    except DomainError:
        return False
    return now_calling.role == caller.role and caller.expires_at > parts.clock.now()

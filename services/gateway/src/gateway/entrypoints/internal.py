"""What the ledger's `reconcile` asks a gateway: which calls an instance admitted (money.md 11, 31)."""

from datetime import datetime
from typing import Annotated, Any, Final, Protocol
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, BaseModel

from kit.errors import InvalidError, NotFoundError, UnauthenticatedError
from kit.http import Problem
from kit.identity import Identity

_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": Problem, "description": "Nothing is here for this caller, or no journal of that instance"},
}
_READERS: Final = frozenset({"ledger"})
_MOST_WINDOW_S: Final = 3600.0


class Journals(Protocol):
    """The journals that lie where this process keeps its own."""

    async def journalled(self, instance: str, *, start: datetime, end: datetime) -> list[UUID] | None:
        """The calls admitted in `[start, end)` by Redis's clock; None for an unknown instance."""
        ...


class JournalledCalls(BaseModel):
    """The ids of an instance's calls, in the order of their admission."""

    instance: str
    ids: list[UUID]


async def _service(request: Request) -> str:
    """Who is no service of ours is not told that there is anything here: the address is public."""
    identity: Identity = request.app.state.identity
    try:
        return await identity.service(request)
    except UnauthenticatedError:
        raise NotFoundError("Not found.") from None


def build_router(journals: Journals) -> APIRouter:
    """Needs `app.state.identity`, whose audience is the gateway."""
    router = APIRouter(prefix="/internal", tags=["internal"], responses=_PROBLEMS)

    @router.get("/journal/{instance}", summary="The calls that an instance admitted in a window of an hour at most")
    async def journal(
        instance: str,
        service: Annotated[str, Depends(_service)],
        start: Annotated[AwareDatetime, Query(alias="from")],
        end: Annotated[AwareDatetime, Query(alias="to")],
    ) -> JournalledCalls:
        if service not in _READERS:
            raise NotFoundError("This gateway has no journal for you.")
        if not 0 <= (end - start).total_seconds() <= _MOST_WINDOW_S:
            raise InvalidError("A window is an hour at most.", field="to")
        ids = await journals.journalled(instance, start=start, end=end)
        if ids is None:
            raise NotFoundError("This gateway has no journal of that instance.")
        return JournalledCalls(instance=instance, ids=ids)

    return router

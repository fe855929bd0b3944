"""What the ledger's `reconcile` asks of a gateway: which calls an instance admitted, and an end for lost ones."""

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Any, Final, Protocol
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, BaseModel, Field

from kit.errors import InvalidError, NotFoundError, UnauthenticatedError
from kit.http import Problem, RequestModel
from kit.identity import Identity

_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": Problem, "description": "Nothing is here for this caller, or no journal of that instance"},
}
_READERS: Final = frozenset({"ledger"})
_MOST_WINDOW_S: Final = 3600.0
_MOST_LOST: Final = 1000
_UNKNOWN: Final = "This gateway has no journal of that instance."


class Journals(Protocol):
    """The journals that lie where this process keeps its own."""

    async def journalled(self, instance: str, *, start: datetime, end: datetime) -> list[UUID] | None:
        """The calls admitted in `[start, end)` by Redis's clock; None for an unknown instance."""
        ...

    async def report_lost(self, instance: str, call_ids: Collection[UUID]) -> list[UUID] | None:
        """Those of the calls that are published as `orphaned` now; None for an unknown instance."""
        ...


class JournalledCalls(BaseModel):
    """The ids of an instance's calls, in the order of their admission."""

    instance: str
    ids: list[UUID]


class LostCalls(RequestModel):
    """Calls that the journal names and whose events are neither in the topic nor in the books."""

    ids: list[UUID] = Field(min_length=1, max_length=_MOST_LOST)


async def _from_the_ledger(request: Request) -> None:
    """The ledger; who is no service of ours is not told that there is anything here: the address is public."""
    identity: Identity = request.app.state.identity
    try:
        service = await identity.service(request)
    except UnauthenticatedError:
        raise NotFoundError("Not found.") from None
    if service not in _READERS:
        raise NotFoundError("This gateway has no journal for you.")


def build_router(journals: Journals) -> APIRouter:
    """Needs `app.state.identity`, whose audience is the gateway."""
    router = APIRouter(
        prefix="/internal", tags=["internal"], responses=_PROBLEMS, dependencies=[Depends(_from_the_ledger)]
    )

    @router.get("/journal/{instance}", summary="The calls that an instance admitted in a window of an hour at most")
    async def journal(
        instance: str,
        start: Annotated[AwareDatetime, Query(alias="from")],
        end: Annotated[AwareDatetime, Query(alias="to")],
    ) -> JournalledCalls:
        if not 0 <= (end - start).total_seconds() <= _MOST_WINDOW_S:
            raise InvalidError("A window is an hour at most.", field="to")
        ids = await journals.journalled(instance, start=start, end=end)
        if ids is None:
            raise NotFoundError(_UNKNOWN)
        return JournalledCalls(instance=instance, ids=ids)

    @router.post("/journal/{instance}/lost", summary="Report as orphaned what ended and whose event was lost since")
    async def report_lost(instance: str, lost: LostCalls) -> JournalledCalls:
        ids = await journals.report_lost(instance, lost.ids)
        if ids is None:
            raise NotFoundError(_UNKNOWN)
        return JournalledCalls(instance=instance, ids=ids)

    return router

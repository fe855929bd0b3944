"""Calls, and why each cost what it cost."""

from dataclasses import asdict
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from contracts.gateway import Outcome
from kit.identity import CallerDep
from kit.paging import Cursor, Limit, Page, encode_cursor
from ledger.domain.requests import RequestFilter
from ledger.entrypoints import views
from ledger.entrypoints.access import AccountDep, DatabaseDep, From, SubjectDep, To, id_in, only_user
from ledger.errors import WindowError
from ledger.schemas.amounts import PositiveCredits, nano_of
from ledger.schemas.requests import RequestExplained, RequestSummary
from ledger.service.reading import Reading


async def request_filter(
    *,
    subject: SubjectDep,
    admitted_from: From = None,
    admitted_to: To = None,
    outcome: Annotated[Literal[Outcome, "duplicate"] | None, Query()] = None,
    min_price_credits: Annotated[PositiveCredits | None, Query(description="charged at least this")] = None,
) -> RequestFilter:
    """Which calls."""
    if admitted_from and admitted_to and admitted_from >= admitted_to:
        raise WindowError("must be before `to`", field="from")
    return RequestFilter(
        **asdict(subject),
        admitted_from=admitted_from,
        admitted_to=admitted_to,
        outcome=outcome,
        min_price_nano=nano_of(min_price_credits) if min_price_credits else None,
    )


FilterDep = Annotated[RequestFilter, Depends(request_filter)]


def build_router(reading: Reading) -> APIRouter:
    router = APIRouter(tags=["models"])

    @router.get("/v1/requests", summary="The account's calls, failed and free ones too")
    async def requests(
        *, wanted: FilterDep, database: DatabaseDep, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[RequestSummary]:
        before = id_in(cursor)
        async with database.reading() as session:
            rows = await reading.requests(session, wanted, before=before, limit=limit + 1)
        more = encode_cursor(str(rows[limit - 1].id)) if len(rows) > limit else None
        return Page(items=[views.summary(row) for row in rows[:limit]], next_cursor=more)

    @router.get("/v1/requests/{request_id}", summary="Why a call cost what it cost")
    async def request_explained(
        request_id: UUID, caller: CallerDep, account_id: AccountDep, database: DatabaseDep
    ) -> RequestExplained:
        async with database.reading() as session:
            found = await reading.explain(session, account_id, request_id, user_id=only_user(caller))
        return views.explained(found, for_operator=caller.operator)

    return router

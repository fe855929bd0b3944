"""What operators see of all accounts."""

from datetime import date, timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query

from kit.identity import OperatorDep
from kit.paging import Cursor, Limit, Page, decode_cursor, encode_cursor
from ledger.entrypoints import report_views
from ledger.entrypoints.access import (
    PROBLEMS,
    STRICT,
    DatabaseDep,
    From,
    NowDep,
    To,
    foreign_cursor,
    id_in,
    window,
)
from ledger.schemas.operator import DebtRow, LiabilitiesAnswer, MarginAnswer
from ledger.service.reporting import MarginQuery, Reporting, Scope

MOST: Final = timedelta(days=400)
By = Annotated[Scope, Query(description="one row for each account, model or plan")]


def build_router(reporting: Reporting) -> APIRouter:
    router = APIRouter(prefix="/ledger/operator", tags=["operator"], responses=PROBLEMS, dependencies=[STRICT])

    @router.get("/margins", summary="Revenue less provider cost less payment fees, by account, model or plan")
    async def margins(
        *,
        _: OperatorDep,
        database: DatabaseDep,
        now: NowDep,
        by: By = "model",
        starts_at: From = None,
        ends_at: To = None,
        account_id: Annotated[UUID | None, Query(description="only this account's calls")] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> MarginAnswer:
        first, last = window(starts_at, ends_at, now=now, default=timedelta(days=30), most=MOST)
        wanted = MarginQuery(
            scope=by,
            first=first.date(),
            last=_day_after(last.date(), is_whole=last.time().isoformat() == "00:00:00"),
            account_id=account_id,
            after=_subject(cursor),
            limit=limit + 1,
        )
        async with database.reading() as session:
            found = await reporting.margins(session, wanted)
        more = encode_cursor(found[limit - 1].subject) if len(found) > limit else None
        return report_views.margin_answer(wanted, found[:limit], next_cursor=more)

    @router.get("/liabilities", summary="Debt, unbilled overage, outstanding grants, breakage")
    async def liabilities(
        *, _: OperatorDep, database: DatabaseDep, now: NowDep, starts_at: From = None, ends_at: To = None
    ) -> LiabilitiesAnswer:
        first, last = window(starts_at, ends_at, now=now, default=timedelta(days=30), most=MOST)
        async with database.reading() as session:
            return report_views.liabilities_answer(await reporting.liabilities(session, starts_at=first, ends_at=last))

    @router.get("/debts", summary="Accounts that owe")
    async def debts(
        *, _: OperatorDep, database: DatabaseDep, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[DebtRow]:
        async with database.reading() as session:
            rows = await reporting.indebted(session, after=id_in(cursor), limit=limit + 1)
        more = encode_cursor(str(rows[limit - 1].id)) if len(rows) > limit else None
        return Page(items=[report_views.debt_row(row) for row in rows[:limit]], next_cursor=more)

    return router


def _day_after(last: date, *, is_whole: bool) -> date:
    return last if is_whole else last + timedelta(days=1)


def _subject(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    (subject,) = decode_cursor(cursor, parts=1)
    if not isinstance(subject, str):
        raise foreign_cursor()
    return subject

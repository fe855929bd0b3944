"""What an account may use, what moved, when it runs out."""

from typing import Annotated

from fastapi import APIRouter, Query

from kit.identity import CallerDep
from kit.paging import Cursor, Limit, Moment, Page, encode_cursor
from ledger.domain.requests import TransferFilter
from ledger.domain.transfers import PLATFORM_KINDS, TransferKind
from ledger.entrypoints import report_views, views
from ledger.entrypoints.access import AccountDep, DatabaseDep, From, MoneyReader, NowDep, To, sequence_in
from ledger.errors import WindowError
from ledger.schemas.balance import BalanceAnswer, ForecastAnswer, OnboardingAnswer, Transaction
from ledger.service.forecasting import Forecasting
from ledger.service.reading import Reading

Kinds = Annotated[TransferKind | None, Query(description="only movements of this type")]


def build_router(reading: Reading, forecasting: Forecasting) -> APIRouter:
    router = APIRouter(tags=["me"])

    @router.get("/ledger/balance", summary="What the account may use now, or could use at an instant")
    async def balance(
        _: MoneyReader,
        account_id: AccountDep,
        database: DatabaseDep,
        at: Annotated[Moment | None, Query(description="another instant; RFC 3339 with offset")] = None,
    ) -> BalanceAnswer:
        async with database.reading() as session:
            if at is None:
                return views.balance_answer(await reading.balance(session, account_id))
            return views.balance_answer(await reading.balance_at(session, account_id, at))

    @router.get("/ledger/transactions", summary="What moved, newest first")
    async def transactions(
        *,
        _: MoneyReader,
        account_id: AccountDep,
        database: DatabaseDep,
        kind: Kinds = None,
        booked_from: From = None,
        booked_to: To = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[Transaction]:
        if booked_from and booked_to and booked_from >= booked_to:
            raise WindowError("must be before `to`", field="from")
        if kind in PLATFORM_KINDS:
            raise WindowError("what moves between the platform's own accounts is not listed", field="kind")
        wanted = TransferFilter(account_id=account_id, kind=kind, booked_from=booked_from, booked_to=booked_to)
        async with database.reading() as session:
            rows = await reading.transactions(session, wanted, before=sequence_in(cursor), limit=limit + 1)
        more = encode_cursor(rows[limit - 1].seq) if len(rows) > limit else None
        return Page(items=[views.transaction(row) for row in rows[:limit]], next_cursor=more)

    @router.get("/ledger/forecast", summary="When the account runs out, and its period's overage, with a band")
    async def forecast(_: MoneyReader, account_id: AccountDep, database: DatabaseDep) -> ForecastAnswer:
        async with database.reading() as session:
            return report_views.forecast_answer(account_id, await forecasting.forecast(session, account_id))

    @router.get("/ledger/onboarding", summary="Where the account stands on its way to being a customer")
    async def onboarding(_: CallerDep, account_id: AccountDep, database: DatabaseDep, now: NowDep) -> OnboardingAnswer:
        async with database.reading() as session:
            standing = await reading.stage(session, account_id)
        return OnboardingAnswer(
            account_id=account_id,
            stage=standing.stage,
            plan=standing.plan_id,
            plan_version=standing.plan_version,
            as_of=now,
        )

    return router

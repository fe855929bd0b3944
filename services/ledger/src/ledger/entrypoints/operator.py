"""What operators change: credits, refunds, promo codes, frozen accounts; and the check of the books."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.money import MAX_AMOUNT, Unit
from kit.database import Database
from kit.idempotency import IdempotencyKey
from kit.identity import OperatorDep, SteppedUpOperatorDep
from kit.paging import Cursor, Limit, Page, encode_cursor
from kit.tokens import Caller
from ledger.entrypoints import report_views
from ledger.entrypoints.access import CONFLICT, PROBLEMS, STRICT, DatabaseDep, id_in
from ledger.entrypoints.writes import write_once
from ledger.errors import AmountError
from ledger.schemas.amounts import nano_of
from ledger.schemas.operator import (
    AdjustmentAnswer,
    AdjustmentRequest,
    BooksAnswer,
    FreezeAnswer,
    FreezeRequest,
    RefundAnswer,
    RefundRequest,
)
from ledger.schemas.promos import PromoAnswer, PromoRequest
from ledger.service.adjusting import Adjusting, Adjustment
from ledger.service.checking import check_books
from ledger.service.holding import Holding
from ledger.service.promoting import NewPromo, Promoting
from ledger.service.refunding import Refund, Refunding

ROUTE: Final = "POST /ledger/operator/adjustments"
REFUNDS: Final = "POST /ledger/operator/refunds"
PROMOS: Final = "POST /ledger/operator/promos"


@dataclass(frozen=True, slots=True)
class Hold:
    """What an operator wants of an account; the key is kept per account and direction."""

    account_id: UUID
    frozen: bool
    body: FreezeRequest

    @property
    def route(self) -> str:
        return f"POST /ledger/operator/accounts/{self.account_id}/{'freeze' if self.frozen else 'thaw'}"


def build_router(adjusting: Adjusting, *, refunding: Refunding, promoting: Promoting, holding: Holding) -> APIRouter:
    router = APIRouter(prefix="/ledger/operator", tags=["operator"], responses=PROBLEMS, dependencies=[STRICT])
    _add_money(router, adjusting, refunding)
    _add_promos(router, promoting)
    _add_holds(router, holding)

    @router.get("/books", summary="Check that the books agree with themselves")
    async def books(_: OperatorDep, database: DatabaseDep) -> BooksAnswer:
        async with database.reading() as session:
            found = await check_books(session)
        return BooksAnswer(
            units={unit: str(total) for unit, total in found.sums.items()},
            balanced=found.balanced,
            accounts_checked=found.accounts,
            differences=found.differences,
        )

    return router


def _add_money(router: APIRouter, adjusting: Adjusting, refunding: Refunding) -> None:
    @router.post("/adjustments", status_code=201, summary="Give or take credits, with a reason", responses={**CONFLICT})
    async def adjust(
        body: AdjustmentRequest, caller: SteppedUpOperatorDep, key: IdempotencyKey, database: DatabaseDep
    ) -> AdjustmentAnswer:
        wanted = Adjustment(
            account_id=body.account_id,
            amount_nano=nano_of(body.amount_credits),
            reason=body.reason,
            actor_user_id=caller.user_id,
            expires_in_days=body.expires_in_days,
            allow_debt=body.allow_debt,
        )

        async def work(session: AsyncSession) -> AdjustmentAnswer:
            return report_views.adjustment_answer(body, await adjusting.adjust_credits(session, wanted))

        return await write_once(
            database, work, answer=AdjustmentAnswer, scope=caller.user_id, route=ROUTE, key=key, body=body
        )

    @router.post(
        "/refunds", status_code=201, summary="Give back a call's charge, with a reason", responses={**CONFLICT}
    )
    async def refund(
        body: RefundRequest, caller: SteppedUpOperatorDep, key: IdempotencyKey, database: DatabaseDep
    ) -> RefundAnswer:
        wanted = Refund(
            account_id=body.account_id,
            request_id=body.request_id,
            amount_nano=nano_of(body.amount_credits) if body.amount_credits else None,
            reason=body.reason,
            actor_user_id=caller.user_id,
        )

        async def work(session: AsyncSession) -> RefundAnswer:
            return report_views.refund_answer(body, await refunding.refund_call(session, wanted))

        return await write_once(
            database, work, answer=RefundAnswer, scope=caller.user_id, route=REFUNDS, key=key, body=body
        )


def _add_promos(router: APIRouter, promoting: Promoting) -> None:
    @router.post("/promos", status_code=201, summary="Make a promo code", responses={**CONFLICT})
    async def create(
        body: PromoRequest, caller: SteppedUpOperatorDep, key: IdempotencyKey, database: DatabaseDep
    ) -> PromoAnswer:
        wanted = _promo(body, actor_user_id=caller.user_id)

        async def work(session: AsyncSession) -> PromoAnswer:
            return report_views.promo_answer(await promoting.create(session, wanted))

        return await write_once(
            database, work, answer=PromoAnswer, scope=caller.user_id, route=PROMOS, key=key, body=body
        )

    @router.get("/promos", summary="Promo codes, newest first")
    async def promos(
        *, _: OperatorDep, database: DatabaseDep, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[PromoAnswer]:
        async with database.reading() as session:
            rows = await promoting.codes(session, before=id_in(cursor), limit=limit + 1)
        more = encode_cursor(str(rows[limit - 1].id)) if len(rows) > limit else None
        return Page(items=[report_views.promo_answer(row) for row in rows[:limit]], next_cursor=more)


def _add_holds(router: APIRouter, holding: Holding) -> None:
    async def change(change: Hold, caller: Caller, *, key: str, database: Database) -> FreezeAnswer:
        async def work(session: AsyncSession) -> FreezeAnswer:
            version = await holding.set_frozen(
                session,
                change.account_id,
                frozen=change.frozen,
                reason=change.body.reason,
                actor_user_id=caller.user_id,
            )
            return FreezeAnswer(account_id=change.account_id, frozen=change.frozen, version=version)

        return await write_once(
            database, work, answer=FreezeAnswer, scope=caller.user_id, route=change.route, key=key, body=change.body
        )

    @router.post("/accounts/{account_id}/freeze", status_code=201, summary="Refuse all calls", responses={**CONFLICT})
    async def freeze(
        account_id: UUID,
        body: FreezeRequest,
        caller: SteppedUpOperatorDep,
        key: IdempotencyKey,
        *,
        database: DatabaseDep,
    ) -> FreezeAnswer:
        return await change(Hold(account_id, frozen=True, body=body), caller, key=key, database=database)

    @router.post("/accounts/{account_id}/thaw", status_code=201, summary="Let an account go on", responses={**CONFLICT})
    async def thaw(
        account_id: UUID,
        body: FreezeRequest,
        caller: SteppedUpOperatorDep,
        key: IdempotencyKey,
        *,
        database: DatabaseDep,
    ) -> FreezeAnswer:
        return await change(Hold(account_id, frozen=False, body=body), caller, key=key, database=database)


def _promo(body: PromoRequest, *, actor_user_id: UUID) -> NewPromo:
    return NewPromo(
        code=body.code,
        unit=body.unit,
        amount=_amount(body.amount, body.unit),
        valid_days=body.valid_days,
        most=body.most,
        expires_at=body.expires_at,
        reason=body.reason,
        actor_user_id=actor_user_id,
    )


def _amount(text: str, unit: Unit) -> int:
    if unit is not Unit.CREDIT and "." in text:
        raise AmountError("tokens and requests are whole numbers", field="amount")
    amount = nano_of(text) if unit is Unit.CREDIT else int(text)
    if not 0 < amount <= MAX_AMOUNT:
        raise AmountError("must be more than zero and not beyond all bounds", field="amount")
    return amount

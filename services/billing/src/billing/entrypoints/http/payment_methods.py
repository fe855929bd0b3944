"""Cards on file, what may be billed later, and what is topped up by itself."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from billing.domain.amounts import credit_text
from billing.domain.collecting import TopUpRule
from billing.entrypoints.http.access import BuyerDep, DatabaseDep, write_of
from billing.schemas.managing import (
    AutoTopUpAnswer,
    AutoTopUpRequest,
    CeilingAnswer,
    CeilingRequest,
    PaymentMethodAnswer,
    PaymentMethods,
)
from billing.service.confirming import Confirming
from billing.service.standing import set_ceiling
from billing.service.top_ups import TopUps
from billing.service.wallets import WalletDesk
from kit.clock import Clock
from kit.idempotency import IdempotencyKey

router = APIRouter(prefix="/billing", tags=["payment methods"])
MethodId = Annotated[str, Path(pattern=r"^[a-z]{2,6}_[A-Za-z0-9_]{1,250}$")]


async def _wallets(request: Request) -> WalletDesk:
    desk: WalletDesk = request.app.state.wallets
    return desk


async def _top_ups(request: Request) -> TopUps:
    top_ups: TopUps = request.app.state.top_ups
    return top_ups


async def _clock(request: Request) -> Clock:
    clock: Clock = request.app.state.clock
    return clock


WalletsDep = Annotated[WalletDesk, Depends(_wallets)]
TopUpsDep = Annotated[TopUps, Depends(_top_ups)]
ClockDep = Annotated[Clock, Depends(_clock)]


@router.get("/payment-methods", summary="The cards that Stripe keeps for the account")
async def list_methods(buyer: BuyerDep, wallets: WalletsDep) -> PaymentMethods:
    return PaymentMethods.of(await wallets.show(buyer.account_id))


@router.post("/payment-methods/{method_id}/default", summary="Charge this one from now on")
async def set_default(
    request: Request, buyer: BuyerDep, wallets: WalletsDep, *, method_id: MethodId, key: IdempotencyKey
) -> PaymentMethodAnswer:
    write = write_of(request, buyer.account_id, key, method=method_id)
    return PaymentMethodAnswer.model_validate(await wallets.set_default(write, method_id))


@router.delete("/payment-methods/{method_id}", summary="Forget a card")
async def remove_method(
    request: Request, buyer: BuyerDep, wallets: WalletsDep, *, method_id: MethodId, key: IdempotencyKey
) -> PaymentMethodAnswer:
    write = write_of(request, buyer.account_id, key, method=method_id)
    return PaymentMethodAnswer.model_validate(await wallets.remove(write, method_id))


@router.put("/overage", summary="The most that may be billed later in a period")
async def put_ceiling(buyer: BuyerDep, database: DatabaseDep, clock: ClockDep, body: CeilingRequest) -> CeilingAnswer:
    async with database.transaction() as session:
        await set_ceiling(session, buyer.account_id, body.ceiling, now=clock.now())
    return CeilingAnswer(ceiling=None if body.ceiling is None else credit_text(body.ceiling))


@router.get("/auto-top-up", summary="What is topped up by itself, and how it is going")
async def show_top_up(request: Request, buyer: BuyerDep, database: DatabaseDep, top_ups: TopUpsDep) -> AutoTopUpAnswer:
    async with database.reading() as session:
        found = await top_ups.show(session, buyer.account_id)
    confirming: Confirming = request.app.state.confirming
    link = await confirming.find_page(buyer.account_id, found.waiting_id) if found.waiting_id else None
    return AutoTopUpAnswer.of(found, confirm_url=link)


@router.put("/auto-top-up", summary="Top up by itself from now on, with the card on file")
async def put_top_up(
    buyer: BuyerDep, database: DatabaseDep, top_ups: TopUpsDep, body: AutoTopUpRequest
) -> AutoTopUpAnswer:
    rule = TopUpRule(body.below, body.amount, body.daily_cap, body.monthly_cap)
    async with database.transaction() as session:
        await top_ups.set_rule(session, buyer.account_id, rule)
        return AutoTopUpAnswer.of(await top_ups.show(session, buyer.account_id))


@router.delete("/auto-top-up", summary="Top up by itself no longer")
async def drop_top_up(buyer: BuyerDep, database: DatabaseDep, top_ups: TopUpsDep) -> AutoTopUpAnswer:
    async with database.transaction() as session:
        await top_ups.drop_rule(session, buyer.account_id)
        return AutoTopUpAnswer.of(await top_ups.show(session, buyer.account_id))


@router.post("/auto-top-up/resume", summary="Go on after a pause")
async def resume_top_up(buyer: BuyerDep, database: DatabaseDep, top_ups: TopUpsDep) -> AutoTopUpAnswer:
    async with database.transaction() as session:
        await top_ups.resume(session, buyer.account_id)
        return AutoTopUpAnswer.of(await top_ups.show(session, buyer.account_id))

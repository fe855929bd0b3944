"""The account's subscription: looked at, changed, ended, taken back; Stripe's own pages; paying per use."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from billing.domain.returns import ReturnPages
from billing.entrypoints.http.access import BuyerDep, DatabaseDep, write_of
from billing.errors import NotForThisOfferError
from billing.schemas.managing import (
    CancelRequest,
    ChangeAnswer,
    ChangeRequest,
    PayPerUseAnswer,
    PayPerUseRequest,
    PortalAnswer,
    PortalRequest,
    PreviewAnswer,
    PreviewRequest,
    ResumeAnswer,
)
from billing.service.changing import ChangeDesk, Wanted
from billing.service.pay_per_use import PayPerUse, Wish
from kit.idempotency import IdempotencyKey

router = APIRouter(prefix="/billing", tags=["subscription"])


async def _desk(request: Request) -> ChangeDesk:
    desk: ChangeDesk = request.app.state.change_desk
    return desk


DeskDep = Annotated[ChangeDesk, Depends(_desk)]


@router.post("/subscription/preview", summary="What another plan, or other seats, would cost now and give")
async def preview_change(buyer: BuyerDep, desk: DeskDep, wanted: PreviewRequest) -> PreviewAnswer:
    return PreviewAnswer.of(await desk.preview(Wanted(buyer.account_id, wanted.plan, wanted.seats)))


@router.post("/subscription/change", summary="Change the plan or the seats: more at once, less at the period's end")
async def change(
    request: Request, buyer: BuyerDep, desk: DeskDep, *, body: ChangeRequest, key: IdempotencyKey
) -> ChangeAnswer:
    if body.plan is None and body.seats is None:
        raise NotForThisOfferError("Say which plan, or how many seats.", field="plan")
    write = write_of(request, buyer.account_id, key, **body.model_dump(mode="json"))
    wanted = Wanted(buyer.account_id, body.plan, body.seats)
    return ChangeAnswer.model_validate(await desk.change(wanted, write, at=body.previewed_at))


@router.post("/subscription/cancel", summary="End the subscription now, or at the period's end")
async def cancel(
    request: Request, buyer: BuyerDep, desk: DeskDep, *, body: CancelRequest, key: IdempotencyKey
) -> ChangeAnswer:
    write = write_of(request, buyer.account_id, key, when=body.when)
    return ChangeAnswer.model_validate(await desk.cancel(write, at_period_end=body.when == "period_end"))


@router.post("/subscription/resume", summary="Take back an ending, or a smaller plan that is to come")
async def resume(request: Request, buyer: BuyerDep, desk: DeskDep, *, key: IdempotencyKey) -> ResumeAnswer:
    return ResumeAnswer.model_validate(await desk.resume(write_of(request, buyer.account_id, key)))


@router.post("/portal", summary="Stripe's own pages: cards, invoices, address, tax ids")
async def open_portal(
    request: Request, buyer: BuyerDep, desk: DeskDep, *, body: PortalRequest, key: IdempotencyKey
) -> PortalAnswer:
    pages: ReturnPages = request.app.state.return_pages
    url = pages.checked(body.return_url, field="return_url", default=pages.public_url)
    write = write_of(request, buyer.account_id, key, return_url=url)
    return PortalAnswer.model_validate(await desk.portal(write, return_url=url))


@router.post("/pay-per-use", status_code=201, summary="Pay afterwards for what is used, with the card on file")
async def pay_per_use(
    request: Request, buyer: BuyerDep, database: DatabaseDep, *, body: PayPerUseRequest, key: IdempotencyKey
) -> PayPerUseAnswer:
    use: PayPerUse = request.app.state.pay_per_use
    async with database.transaction() as session:
        await use.start(session, Wish(buyer.account_id, body.plan, key))
    return PayPerUseAnswer(plan=body.plan)

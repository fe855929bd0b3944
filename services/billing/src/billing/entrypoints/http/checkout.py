"""Buying: begin a checkout and follow it."""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from billing.domain.returns import ReturnPages
from billing.errors import RoleMayNotBuyError, UnknownSessionError
from billing.schemas.buying import CheckoutAnswer, CheckoutProgress, CheckoutRequest
from billing.service.checkout import CheckoutDesk, Order, get_progress
from kit.database import Database
from kit.errors import InvalidError
from kit.idempotency import IdempotencyKey
from kit.identity import CallerDep, Identity

BUYERS = ("owner", "admin")
SessionId = Annotated[str, Path(pattern=r"^cs_[A-Za-z0-9_]{8,250}$")]

router = APIRouter(prefix="/billing", tags=["checkout"])


@router.post("/checkout", status_code=201, summary="Begin a checkout; pay at the address in the answer")
async def begin_checkout(
    request: Request, wanted: CheckoutRequest, caller: CallerDep, idempotency_key: IdempotencyKey
) -> CheckoutAnswer:
    if caller.role not in BUYERS:
        raise RoleMayNotBuyError("Only an owner or admin of the account may buy.")
    if (wanted.offer is None) == (wanted.mode is None):
        raise InvalidError('Say what to buy, or that a card is to be kept (mode "setup"); not both.', field="offer")
    pages: ReturnPages = request.app.state.return_pages
    desk: CheckoutDesk = request.app.state.desk
    order = Order(
        account_id=caller.account_id,
        offer_id=wanted.offer,
        idempotency_key=idempotency_key,
        success_url=pages.checked(wanted.success_url, field="success_url", default=pages.success),
        cancel_url=pages.checked(wanted.cancel_url, field="cancel_url", default=pages.cancelled),
        body=wanted.model_dump(exclude_none=True),
        seats=wanted.seats,
        amount_minor=wanted.amount,
        currency=wanted.currency,
    )
    return CheckoutAnswer.of(await desk.open(order))


@router.get(
    "/checkout/{session_id}",
    summary="How far a checkout has come; without a token, the session's unguessable id shows its status only",
    response_model_exclude_none=True,
)
async def follow_checkout(request: Request, session_id: SessionId) -> CheckoutProgress:
    database: Database = request.app.state.database
    identity: Identity = request.app.state.identity
    # The buyer's browser comes back from Stripe without a token.
    caller = await identity.caller(request) if "authorization" in request.headers else None
    async with database.reading() as session:
        progress = await get_progress(session, session_id)
    if caller is not None and caller.account_id != progress.account_id:
        raise UnknownSessionError("There is no such checkout.")
    return CheckoutProgress.of(progress, whole=caller is not None)

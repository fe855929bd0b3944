"""The account's own subscription, payments, invoices and credit notes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request

from billing.entrypoints.http.access import BuyerDep, DatabaseDep
from billing.errors import RoleMayNotBuyError
from billing.schemas.buying import Payment, Subscription, SubscriptionAnswer
from billing.schemas.managing import CreditNoteView, InvoiceView, UseOfInvoice, UseOfPayment
from billing.service import statements
from billing.service.confirming import Confirming
from kit.database import Database
from kit.identity import CallerDep
from kit.paging import Cursor, Limit, Page, decode_cursor, decode_instant, encode_cursor

READERS = ("owner", "admin")

InvoiceId = Annotated[str, Path(pattern=r"^in_[A-Za-z0-9_]{1,250}$")]
PaymentId = Annotated[str, Path(pattern=r"^pi_[A-Za-z0-9_]{1,250}$")]

router = APIRouter(prefix="/billing", tags=["statements"])


@router.get("/subscription", summary="The account's subscription, as Stripe last had it")
async def show_subscription(request: Request, caller: CallerDep) -> SubscriptionAnswer:
    database: Database = request.app.state.database
    async with database.reading() as session:
        found = await statements.find_subscription(session, caller.account_id)
    link = None
    if found is not None and found.unpaid is not None and found.unpaid.payment_id and caller.role in READERS:
        confirming: Confirming = request.app.state.confirming
        link = await confirming.find_page(caller.account_id, found.unpaid.payment_id)
    return SubscriptionAnswer(subscription=Subscription.of(found, confirm_url=link) if found else None)


@router.get("/payments", summary="The account's payments, newest first")
async def list_payments(request: Request, caller: CallerDep, limit: Limit = 50, cursor: Cursor = None) -> Page[Payment]:
    if caller.role not in READERS:
        raise RoleMayNotBuyError("Only an owner or admin of the account may see its payments.")
    database: Database = request.app.state.database
    async with database.reading() as session:
        lines = await statements.list_payments(
            session, caller.account_id, before=_position(cursor) if cursor else None, limit=limit + 1
        )
    shown = lines[:limit]
    more = len(lines) > limit
    return Page(
        items=[Payment.of(line) for line in shown],
        next_cursor=encode_cursor(shown[-1].created_at.isoformat(), shown[-1].id) if more else None,
    )


@router.get("/payments/{payment_id}/use", summary="The hours of use that a payment collected")
async def show_use(buyer: BuyerDep, database: DatabaseDep, payment_id: PaymentId) -> UseOfPayment:
    async with database.reading() as session:
        lines = await statements.list_use_of_payment(session, buyer.account_id, payment_id)
    return UseOfPayment.of(payment_id, lines)


@router.get("/invoices", summary="The account's invoices, newest first")
async def list_invoices(
    buyer: BuyerDep, database: DatabaseDep, *, limit: Limit = 50, cursor: Cursor = None
) -> Page[InvoiceView]:
    before = _position(cursor) if cursor else None
    async with database.reading() as session:
        found = await statements.list_invoices(session, buyer.account_id, before=before, limit=limit + 1)
    shown = [InvoiceView.of(one) for one in found[:limit]]
    return Page(items=shown, next_cursor=_next(found, limit))


@router.get("/invoices/{invoice_id}", summary="One invoice with its lines and its PDF")
async def show_invoice(buyer: BuyerDep, database: DatabaseDep, invoice_id: InvoiceId) -> InvoiceView:
    async with database.reading() as session:
        return InvoiceView.of(await statements.get_invoice(session, buyer.account_id, invoice_id))


@router.get("/invoices/{invoice_id}/use", summary="The hours of use behind each line for what was used past a plan")
async def show_use_of_invoice(buyer: BuyerDep, database: DatabaseDep, invoice_id: InvoiceId) -> UseOfInvoice:
    async with database.reading() as session:
        lines = await statements.list_use_of_invoice(session, buyer.account_id, invoice_id)
    return UseOfInvoice.of(invoice_id, lines)


@router.get("/credit-notes", summary="What was taken off invoices, newest first")
async def list_credit_notes(
    buyer: BuyerDep, database: DatabaseDep, *, limit: Limit = 50, cursor: Cursor = None
) -> Page[CreditNoteView]:
    before = _position(cursor) if cursor else None
    async with database.reading() as session:
        found = await statements.list_credit_notes(session, buyer.account_id, before=before, limit=limit + 1)
    shown = [CreditNoteView.of(one) for one in found[:limit]]
    return Page(items=shown, next_cursor=_next(found, limit))


def _next(found: Sequence[statements.InvoiceSheet | statements.CreditNoteSheet], limit: int) -> str | None:
    if len(found) <= limit:
        return None
    last = found[limit - 1]
    return encode_cursor(last.created_at.isoformat(), last.id)


def _position(cursor: str) -> tuple[datetime, str]:
    created_at, payment_id = decode_cursor(cursor, parts=2)
    return decode_instant(created_at), str(payment_id)

"""What an account may see of its money with us."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.overage import UNIT_NANO
from billing.errors import UnknownInvoiceError, UnknownPaymentError
from billing.repository import attempts, invoices, overage, payments, use
from billing.repository import settings as account_settings
from billing.repository.invoices import Place


@dataclass(frozen=True, slots=True)
class PaymentLine:
    id: str
    kind: str
    status: str
    offer_id: str
    amount_minor: int
    tax_minor: int
    reversed_minor: int
    currency: str
    grant_nano: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class UnpaidUse:
    """Why paying per use stands still: the last collection was declined, and which card it was tried with."""

    payment_id: str | None
    reason: str
    amount_minor: int
    currency: str
    card_brand: str | None
    card_last4: str | None


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """`pending` names the plan, version and seats of the next period, where they change."""

    id: str
    plan_id: str
    plan_version: int
    status: str
    quantity: int
    currency: str
    current_period_start: datetime
    current_period_end: datetime
    cancel_at_period_end: bool
    is_local: bool
    pending: tuple[str, int, int] | None
    trial_end: datetime | None
    grace_until: datetime | None
    unpaid: UnpaidUse | None


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    description: str
    amount_minor: int
    quantity: int
    period_start: datetime
    period_end: datetime
    is_proration: bool
    is_use: bool


@dataclass(frozen=True, slots=True)
class InvoiceSheet:
    id: str
    number: str | None
    status: str
    currency: str
    total_minor: int
    tax_minor: int
    paid_minor: int
    pdf_url: str | None
    page_url: str | None
    lines: tuple[InvoiceLine, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CreditNoteSheet:
    id: str
    invoice_id: str
    number: str | None
    status: str
    reason: str | None
    currency: str
    total_minor: int
    pdf_url: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class UsedLine:
    """A line for what was used past a plan, with the hours that Stripe was told of; what they do not explain."""

    line: InvoiceLine
    hours: tuple[tuple[datetime, int], ...]
    unexplained_nano: int


@dataclass(frozen=True, slots=True)
class UseLine:
    """An hour of use that a payment collected."""

    hour: datetime
    plan_id: str
    amount_nano: int


async def list_payments(
    session: AsyncSession, account_id: UUID, *, before: tuple[datetime, str] | None, limit: int
) -> list[PaymentLine]:
    """Newest first."""
    rows = await payments.list_payments(session, account_id, before=before, limit=limit)
    reversed_minor = await payments.sum_reversed(session, [row.id for row in rows])
    return [
        PaymentLine(
            id=row.id,
            kind=row.kind,
            status=row.status,
            offer_id=row.offer_id,
            amount_minor=row.amount_minor,
            tax_minor=row.tax_minor,
            reversed_minor=reversed_minor[row.id],
            currency=row.currency,
            grant_nano=row.grant_nano,
            created_at=row.created_at,
        )
        for row in rows
    ]


async def find_subscription(session: AsyncSession, account_id: UUID) -> SubscriptionState | None:
    row = await payments.find_current_subscription(session, account_id)
    if row is None:
        return None
    pending = None
    if row.pending_plan_id is not None and row.pending_plan_version is not None:
        pending = (row.pending_plan_id, row.pending_plan_version, row.pending_quantity or 1)
    return SubscriptionState(
        id=row.id,
        plan_id=row.plan_id,
        plan_version=row.plan_version,
        status=row.status,
        quantity=row.quantity,
        currency=row.currency,
        current_period_start=row.current_period_start,
        current_period_end=row.current_period_end,
        cancel_at_period_end=row.cancel_at_period_end,
        is_local=row.is_local,
        pending=pending,
        trial_end=row.trial_end,
        grace_until=row.grace_until,
        unpaid=await _unpaid(session, account_id) if row.is_local else None,
    )


async def _unpaid(session: AsyncSession, account_id: UUID) -> UnpaidUse | None:
    row = await account_settings.find_settings(session, account_id)
    latest = await attempts.list_latest(session, account_id, "pay_per_use", limit=1)
    if row is None or row.use_blocked is None or not latest:
        return None
    last = latest[0]
    amount_minor = last.amount_minor + last.tax_minor
    return UnpaidUse(last.payment_id, row.use_blocked, amount_minor, last.currency, last.card_brand, last.card_last4)


async def list_invoices(session: AsyncSession, account_id: UUID, *, before: Place, limit: int) -> list[InvoiceSheet]:
    """Newest first."""
    return [_sheet(row) for row in await invoices.list_invoices(session, account_id, before=before, limit=limit)]


async def get_invoice(session: AsyncSession, account_id: UUID, invoice_id: str) -> InvoiceSheet:
    row = await invoices.find_invoice(session, invoice_id)
    if row is None or row.account_id != account_id:
        raise UnknownInvoiceError("This account has no such invoice.")
    return _sheet(row)


def _sheet(row: Any) -> InvoiceSheet:
    lines = tuple(
        InvoiceLine(
            description=line["description"],
            amount_minor=line["amount_minor"],
            quantity=line["quantity"],
            period_start=datetime.fromisoformat(line["period_start"]),
            period_end=datetime.fromisoformat(line["period_end"]),
            is_proration=line["proration"],
            is_use=line["is_use"],
        )
        for line in row.lines
    )
    return InvoiceSheet(
        id=row.id,
        number=row.number,
        status=row.status,
        currency=row.currency,
        total_minor=row.total_minor,
        tax_minor=row.tax_minor,
        paid_minor=row.paid_minor,
        pdf_url=row.pdf_url,
        page_url=row.page_url,
        lines=lines,
        created_at=row.created_at,
    )


async def list_credit_notes(
    session: AsyncSession, account_id: UUID, *, before: Place, limit: int
) -> list[CreditNoteSheet]:
    """Newest first."""
    rows = await invoices.list_credit_notes(session, account_id, before=before, limit=limit)
    return [
        CreditNoteSheet(
            id=row.id,
            invoice_id=row.invoice_id,
            number=row.number,
            status=row.status,
            reason=row.reason,
            currency=row.currency,
            total_minor=row.total_minor,
            pdf_url=row.pdf_url,
            created_at=row.created_at,
        )
        for row in rows
    ]


async def list_use_of_invoice(session: AsyncSession, account_id: UUID, invoice_id: str) -> list[UsedLine]:
    """The hours behind each line for use; a first invoice's line, for a period that only begins, has none."""
    sheet = await get_invoice(session, account_id, invoice_id)
    return [await _used(session, account_id, line) for line in sheet.lines if line.is_use]


async def _used(session: AsyncSession, account_id: UUID, line: InvoiceLine) -> UsedLine:
    if line.quantity == 0:
        return UsedLine(line, (), 0)
    rows = await overage.list_in_window(session, account_id, line.period_start, line.period_end)
    hours = tuple((row.hour, row.units * UNIT_NANO) for row in rows if row.state == "accepted")
    return UsedLine(line, hours, line.quantity * UNIT_NANO - sum(nano for _, nano in hours))


async def list_use_of_payment(session: AsyncSession, account_id: UUID, payment_id: str) -> list[UseLine]:
    """The hours that a payment for use collected."""
    attempt = await attempts.find_of_payment(session, payment_id)
    if attempt is None or attempt.account_id != account_id:
        raise UnknownPaymentError("This account has no payment for use with this id.")
    rows = await use.list_of_attempt(session, attempt.id)
    return [UseLine(row.hour, row.plan_id, row.amount_nano) for row in rows]

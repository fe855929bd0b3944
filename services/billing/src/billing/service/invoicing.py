"""Invoices: mirrored as they are; a paid period, or a part of one, becomes a settled payment and its grant."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.calendar import Span, span_before
from billing.domain.offers import Purchase, Terms
from billing.domain.states import CreditNote, Invoice, InvoiceLine, Subscription
from billing.domain.taxes import untaxed_minor
from billing.errors import NotOursError, PaymentRefusedError
from billing.repository import catalogue, payments
from billing.repository import invoices as repository
from billing.service.owners import check_amount, get_purchase, lock_owner
from billing.service.settlement import Decline, Receipt, fail_payment, settle_payment


@dataclass(frozen=True, slots=True)
class Granted:
    """What an invoice grants once it is paid: so much of a plan, for the time that it pays for."""

    purchase: Purchase
    amount: int
    span: Span


async def apply_invoice(
    session: AsyncSession, invoice: Invoice, *, trial: Subscription | None, heard_at: datetime, now: datetime
) -> None:
    """A period of a subscription: paid, or tried in vain. `trial` is the subscription where it was read as well."""
    account_id = await lock_owner(session, invoice.customer, claims=(invoice.metadata.get("account_id"),))
    if invoice.subscription_id is None:
        raise NotOursError("The invoice is not a subscription's.")
    await _mirror(session, invoice, account_id)
    granted = await _granted(session, invoice, trial)
    if granted is None:
        await _use_alone(session, invoice, account_id, heard_at=heard_at, now=now)
    elif invoice.status == "paid":
        receipt = await _receipt(session, invoice, account_id, granted)
        await settle_payment(session, receipt, heard_at=heard_at, now=now)
    elif invoice.attempts > 0:
        await fail_payment(session, _decline(invoice, account_id, granted.purchase.terms), now=now)


async def _use_alone(
    session: AsyncSession, invoice: Invoice, account_id: UUID, *, heard_at: datetime, now: datetime
) -> None:
    """An invoice that grants nothing, such as the last one for use past a plan: still a payment, with Stripe's fee."""
    terms = await _terms_of(session, invoice)
    if terms is None or invoice.intent is None:
        return
    if invoice.status == "paid" and invoice.paid_minor > 0:
        untaxed = _untaxed(invoice)
        receipt = Receipt(
            payment_id=invoice.payment_id,
            account_id=account_id,
            # Not the subscription's: of a period's allowance this is neither the first payment nor another one.
            kind="bundle",
            terms=terms,
            currency=invoice.currency,
            paid_minor=invoice.paid_minor,
            grant_amount=0,
            fee_minor=invoice.intent.fee_minor,
            overage_minor=untaxed,
            tax_minor=invoice.paid_minor - untaxed,
            subscription_id=invoice.subscription_id,
        )
        await settle_payment(session, receipt, heard_at=heard_at, now=now)
    elif invoice.status != "paid" and invoice.attempts > 0:
        await fail_payment(session, _decline(invoice, account_id, terms), now=now)


async def _terms_of(session: AsyncSession, invoice: Invoice) -> Terms | None:
    """The plan whose use it is about."""
    row = await payments.find_subscription(session, str(invoice.subscription_id))
    return await catalogue.find_terms(session, row.plan_id, row.plan_version) if row is not None else None


def _untaxed(invoice: Invoice) -> int:
    """What was paid that is no tax; what a credit of the customer's paid is divided like the rest of the invoice."""
    return untaxed_minor(invoice.paid_minor, whole_minor=invoice.total_minor, tax_minor=invoice.tax_minor)


async def _receipt(session: AsyncSession, invoice: Invoice, account_id: UUID, granted: Granted) -> Receipt:
    untaxed = _untaxed(invoice)
    return Receipt(
        payment_id=invoice.payment_id,
        account_id=account_id,
        kind="subscription",
        terms=granted.purchase.terms,
        currency=invoice.currency,
        paid_minor=invoice.paid_minor,
        grant_amount=granted.amount,
        fee_minor=invoice.intent.fee_minor if invoice.intent else 0,
        overage_minor=min(untaxed, await _overage_minor(session, invoice)),
        tax_minor=invoice.paid_minor - untaxed,
        subscription_id=invoice.subscription_id,
        period_start=granted.span.starts_at,
        period_end=granted.span.ends_at,
    )


def _decline(invoice: Invoice, account_id: UUID, terms: Terms) -> Decline:
    return Decline(
        payment_id=invoice.payment_id,
        account_id=account_id,
        kind="subscription",
        terms=terms,
        currency=invoice.currency,
        amount_minor=invoice.due_minor,
        attempt=invoice.attempts,
        reason=invoice.intent.failure if invoice.intent else None,
        subscription_id=invoice.subscription_id,
        card=invoice.intent.card if invoice.intent else None,
    )


async def _granted(session: AsyncSession, invoice: Invoice, trial: Subscription | None) -> Granted | None:
    """What the lines pay for; None when they are about nothing that is granted, such as overage alone."""
    planned = [line for line in invoice.lines if await _is_plan(session, line)]
    whole = [line for line in planned if not line.is_proration]
    if len(whole) > 1:
        raise PaymentRefusedError("The invoice has more than one line that pays for a period.")
    if whole:
        return await _period(session, whole[0], currency=invoice.currency, trial=trial)
    return await _part(session, planned, subscription_id=str(invoice.subscription_id))


async def _is_plan(session: AsyncSession, line: InvoiceLine) -> bool:
    found = await catalogue.find_offer_of_price(session, line.price_id) if line.price_id else None
    return found is not None and found[0].is_plan


async def _overage_minor(session: AsyncSession, invoice: Invoice) -> int:
    """What of it is for use that the ledger has booked already: lines at the prices of meters."""
    used = [line for line in invoice.lines if not await _is_plan(session, line)]
    return sum(max(0, line.amount_minor - line.inside_minor) for line in used)


async def _period(session: AsyncSession, line: InvoiceLine, *, currency: str, trial: Subscription | None) -> Granted:
    purchase = await get_purchase(session, line.price_id, quantity=line.quantity)
    span = Span(line.period_start, line.period_end)
    if line.amount_minor == 0 and _is_trial(line, trial, purchase):
        whole = span_before(span.ends_at, interval="year" if purchase.terms.interval == "year" else "month")
        return Granted(purchase, min(purchase.grant_amount, whole.share(purchase.grant_amount, span)), span)
    check_amount(purchase, amount_minor=line.amount_minor, currency=currency)
    return Granted(purchase, purchase.grant_amount, span)


def _is_trial(line: InvoiceLine, trial: Subscription | None, purchase: Purchase) -> bool:
    """Nothing is paid for a trial, where the plan has one and Stripe says that this is it."""
    return (
        purchase.terms.plan.trial_days is not None
        and trial is not None
        and trial.trial_end is not None
        and line.period_end <= trial.trial_end
    )


async def _part(session: AsyncSession, lines: list[InvoiceLine], *, subscription_id: str) -> Granted | None:
    """A change within a period: the new plan's share of the rest, less what of the same plan is given back.

    What the old plan granted for that time the ledger takes back itself when it hears of the new one.
    """
    charged = [line for line in lines if line.amount_minor > 0]
    if not charged:
        return None
    bought = await get_purchase(session, charged[-1].price_id)
    terms = bought.terms
    same = {line.price_id: await get_purchase(session, line.price_id) for line in lines}
    span = Span(charged[-1].period_start, charged[-1].period_end)
    whole = await _whole_period(session, subscription_id, span, interval=terms.interval)
    seats = sum(
        line.quantity if line.amount_minor > 0 else -line.quantity
        for line in lines
        if same[line.price_id].terms.offer_id == terms.offer_id
    )
    if seats <= 0 and sum(line.amount_minor for line in lines) > 0:
        # The same seats at another version's price: what was granted stands.
        return Granted(bought, 0, span)
    return Granted(bought, whole.share(terms.grant_nano * max(0, seats), span), span)


async def _whole_period(session: AsyncSession, subscription_id: str, part: Span, *, interval: str) -> Span:
    """The period that a part belongs to: Stripe's own boundaries while it runs, the calendar's after it."""
    row = await payments.find_subscription(session, subscription_id)
    if row is not None and row.current_period_end == part.ends_at:
        return Span(row.current_period_start, row.current_period_end)
    return span_before(part.ends_at, interval="year" if interval == "year" else "month")


async def _mirror(session: AsyncSession, invoice: Invoice, account_id: UUID) -> None:
    await repository.save_invoice(
        session,
        id=invoice.id,
        account_id=account_id,
        subscription_id=invoice.subscription_id,
        number=invoice.number,
        status=invoice.status,
        currency=invoice.currency,
        total_minor=invoice.total_minor,
        tax_minor=invoice.tax_minor,
        paid_minor=invoice.paid_minor,
        payment_id=invoice.intent.id if invoice.intent else None,
        pdf_url=invoice.pdf_url,
        page_url=invoice.page_url,
        lines=[await _shown(session, line) for line in invoice.lines],
        created_at=invoice.created_at,
    )


async def _shown(session: AsyncSession, line: InvoiceLine) -> dict[str, Any]:
    return {
        "description": line.description,
        "amount_minor": line.amount_minor,
        "quantity": line.quantity,
        "period_start": line.period_start.isoformat(),
        "period_end": line.period_end.isoformat(),
        "proration": line.is_proration,
        "is_use": not await _is_plan(session, line),
    }


async def apply_credit_note(session: AsyncSession, found: CreditNote) -> None:
    """Keep a credit note as it is; what it gave back in money is a refund of its own."""
    account_id = await lock_owner(session, found.customer, claims=())
    await repository.save_credit_note(
        session,
        id=found.id,
        account_id=account_id,
        invoice_id=found.invoice_id,
        number=found.number,
        status=found.status,
        reason=found.reason,
        currency=found.currency,
        total_minor=found.total_minor,
        pdf_url=found.pdf_url,
        created_at=found.created_at,
    )

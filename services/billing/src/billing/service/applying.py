"""Applying what was read from Stripe: current state, idempotently, in one transaction under the account's lock."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.reversals import Reversal, of_dispute, of_refund
from billing.domain.states import CheckoutSession, Invoice, Reading, Subscription
from billing.errors import NotOursError, PaymentRefusedError
from billing.repository import accounts, checkouts, payments
from billing.service.owners import check_amount, get_terms, lock_owner
from billing.service.settlement import Decline, Receipt, fail_payment, settle_payment
from contracts.billing import PaymentReversed, SubscriptionChanged
from kit import outbox
from kit.ids import fact_id

_DECLINED: Final = ("requires_payment_method", "canceled")


async def apply_reading(session: AsyncSession, reading: Reading, *, heard_at: datetime, now: datetime) -> None:
    """Bring our books to what Stripe has; `heard_at` is when Stripe said so. Raises `NotOursError` for strangers."""
    if reading.subscription is not None:
        await apply_subscription(session, reading.subscription, now=now)
    if reading.session is not None:
        await apply_session(session, reading.session, heard_at=heard_at, now=now)
    if reading.invoice is not None:
        await apply_invoice(session, reading.invoice, heard_at=heard_at, now=now)
    if reading.payment_id is not None:
        reversals = [reversal for refund in reading.refunds for reversal in of_refund(refund)]
        reversals += of_dispute(reading.dispute) if reading.dispute else ()
        await apply_reversals(session, reading.payment_id, reversals, now=now)
    if reading == Reading():
        raise NotOursError("Nothing of ours is concerned.")


async def apply_session(session: AsyncSession, found: CheckoutSession, *, heard_at: datetime, now: datetime) -> None:
    """A checkout that ended: settled when it is paid, closed when it expired."""
    account_id = await lock_owner(session, found.customer, claims=(found.metadata.get("account_id"), found.account_ref))
    ours = await checkouts.find_checkout(session, found.id)
    if ours is not None and ours.account_id != account_id:
        raise PaymentRefusedError("The session was opened for another account.")
    if found.status != "open":
        await checkouts.close_checkout(
            session,
            found.id,
            status=found.status,
            payment_id=found.intent.id if found.intent else None,
            subscription_id=found.subscription_id,
        )
    if found.mode == "payment" and found.status == "complete":
        await _apply_bundle(session, found, account_id, heard_at=heard_at, now=now)


async def _apply_bundle(
    session: AsyncSession, found: CheckoutSession, account_id: UUID, *, heard_at: datetime, now: datetime
) -> None:
    terms = await get_terms(session, found.price_id)
    claimed = (found.metadata.get("offer"), found.metadata.get("offer_version"))
    if claimed != (terms.offer_id, str(terms.version)) or terms.is_plan:
        raise PaymentRefusedError("The metadata names another offer than the price.")
    check_amount(terms, amount_minor=found.total_minor, currency=found.currency)
    intent = found.intent
    if intent is None:
        raise PaymentRefusedError("The session names no payment.")
    if found.paid:
        check_amount(terms, amount_minor=intent.received_minor, currency=intent.currency)
        receipt = Receipt(intent.id, account_id, "bundle", terms, intent.received_minor, intent.fee_minor)
        await settle_payment(session, receipt, heard_at=heard_at, now=now)
    elif intent.status in _DECLINED:
        decline = Decline(intent.id, account_id, "bundle", terms, found.total_minor, 1, intent.failure)
        await fail_payment(session, decline, now=now)


async def apply_invoice(session: AsyncSession, invoice: Invoice, *, heard_at: datetime, now: datetime) -> None:
    """A period of a subscription: paid, or tried in vain."""
    if invoice.subscription_id is None:
        raise NotOursError("The invoice is not a subscription's.")
    account_id = await lock_owner(session, invoice.customer, claims=(invoice.metadata.get("account_id"),))
    line = invoice.line
    if line is None:
        raise PaymentRefusedError("The invoice has no single line that pays for a period.")
    terms = await get_terms(session, line.price_id)
    check_amount(terms, amount_minor=line.amount_minor, currency=invoice.currency)
    if invoice.status == "paid":
        receipt = Receipt(
            payment_id=invoice.payment_id,
            account_id=account_id,
            kind="subscription",
            terms=terms,
            paid_minor=invoice.paid_minor,
            fee_minor=invoice.intent.fee_minor if invoice.intent else 0,
            subscription_id=invoice.subscription_id,
            period_start=line.period_start,
            period_end=line.period_end,
        )
        await settle_payment(session, receipt, heard_at=heard_at, now=now)
    elif invoice.attempts > 0:
        decline = Decline(
            payment_id=invoice.payment_id,
            account_id=account_id,
            kind="subscription",
            terms=terms,
            amount_minor=invoice.due_minor,
            attempt=invoice.attempts,
            reason=invoice.intent.failure if invoice.intent else None,
            subscription_id=invoice.subscription_id,
        )
        await fail_payment(session, decline, now=now)


async def apply_subscription(session: AsyncSession, found: Subscription, *, now: datetime) -> None:
    """The subscription's row follows Stripe; a change is a new version, the same state is nothing."""
    account_id = await lock_owner(session, found.customer, claims=(found.metadata.get("account_id"),))
    terms = await get_terms(session, found.price_id)
    state = {
        "account_id": account_id,
        "plan_id": terms.offer_id,
        "plan_version": terms.version,
        "status": found.status,
        "current_period_start": found.period_start,
        "current_period_end": found.period_end,
        "cancel_at_period_end": found.cancel_at_period_end,
    }
    known = await payments.find_subscription(session, found.id)
    if known is not None and known.account_id != account_id:
        raise PaymentRefusedError("The subscription belongs to another account.")
    if known is not None and all(getattr(known, name) == value for name, value in state.items()):
        return
    version = known.version + 1 if known else 1
    await payments.save_subscription(session, id=found.id, version=version, **state)
    changed = SubscriptionChanged.model_validate(
        {
            **state,
            "id": fact_id(SubscriptionChanged.type, found.id, version),
            "time": now,
            "subscription_id": found.id,
            "version": version,
        }
    )
    await outbox.add(session, changed)


async def apply_reversals(session: AsyncSession, payment_id: str, reversals: list[Reversal], *, now: datetime) -> None:
    """Money that went back, each movement once; a payment is always settled before it is reversed."""
    payment = await payments.find_payment(session, payment_id)
    if payment is None:
        raise NotOursError("The payment is not one of ours.")
    await accounts.lock_account(session, payment.account_id)
    for reversal in reversals:
        if reversal.currency != payment.currency:
            raise PaymentRefusedError("The currency of what went back is not the payment's.")
        if await payments.insert_reversal(session, reversal, payment_id=payment_id, now=now):
            await outbox.add(
                session,
                PaymentReversed(
                    id=fact_id(PaymentReversed.type, reversal.id, reversal.kind),
                    time=now,
                    account_id=payment.account_id,
                    payment_id=payment_id,
                    reversal_id=reversal.id,
                    kind=reversal.kind,
                    reversed_minor=reversal.amount_minor,
                    paid_minor=payment.amount_minor,
                    currency=payment.currency,
                ),
            )

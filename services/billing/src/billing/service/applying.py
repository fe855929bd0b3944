"""Applying what was read from Stripe: current state, idempotently, in one transaction under the account's lock."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.offers import Purchase
from billing.domain.reversals import Reversal, of_dispute, of_refund
from billing.domain.states import CheckoutSession, Intent, Reading
from billing.domain.taxes import untaxed_minor
from billing.errors import NotOursError, PaymentRefusedError
from billing.repository import accounts, catalogue, checkouts, payments
from billing.service.attempts import apply_attempt
from billing.service.invoicing import apply_credit_note, apply_invoice
from billing.service.overage import reject_use
from billing.service.owners import check_amount, get_purchase, lock_owner
from billing.service.settlement import Decline, Receipt, fail_payment, settle_payment
from billing.service.standing import keep_wallet
from billing.service.subscriptions import apply_subscription
from contracts.billing import PaymentReversed
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
        await apply_invoice(session, reading.invoice, trial=reading.subscription, heard_at=heard_at, now=now)
    if reading.attempt is not None:
        await apply_attempt(session, reading.attempt, heard_at=heard_at, now=now)
    await _keep(session, reading, now=now)
    if reading.payment_id is not None:
        reversals = [reversal for refund in reading.refunds for reversal in of_refund(refund)]
        reversals += of_dispute(reading.dispute) if reading.dispute else ()
        await apply_reversals(session, reading.payment_id, reversals, now=now)
    if reading == Reading():
        raise NotOursError("Nothing of ours is concerned.")


async def _keep(session: AsyncSession, reading: Reading, *, now: datetime) -> None:
    """What moves no money."""
    if reading.credit_note is not None:
        await apply_credit_note(session, reading.credit_note)
    if reading.wallet is not None:
        customer, wallet = reading.wallet
        await keep_wallet(session, await lock_owner(session, customer, claims=()), wallet, now=now)
    if reading.wrong_use:
        await reject_use(session, reading.wrong_use)


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
        purchase = await _bought(session, found, ours)
        await _apply_bundle(session, found, account_id, purchase=purchase, heard_at=heard_at, now=now)


async def _bought(session: AsyncSession, found: CheckoutSession, ours: Any | None) -> Purchase:
    """What was for sale in the session: an offer's own price, or the amount that our own record of it names."""
    offer_id, version = found.metadata.get("offer"), found.metadata.get("offer_version")
    if ours is not None and ours.amount_minor is not None and ours.offer_id and ours.version:
        terms = await catalogue.find_terms(session, ours.offer_id, ours.version)
        assert terms is not None
        purchase = Purchase(terms, ours.currency, amount_minor=ours.amount_minor)
    else:
        purchase = await get_purchase(session, found.price_id, quantity=found.quantity)
    if (offer_id, version) != (purchase.terms.offer_id, str(purchase.terms.version)) or purchase.terms.is_plan:
        raise PaymentRefusedError("The metadata names another offer than the price.")
    return purchase


async def _apply_bundle(
    session: AsyncSession,
    found: CheckoutSession,
    account_id: UUID,
    *,
    purchase: Purchase,
    heard_at: datetime,
    now: datetime,
) -> None:
    check_amount(purchase, amount_minor=found.untaxed_minor, currency=found.currency)
    intent = found.intent
    if intent is None:
        raise PaymentRefusedError("The session names no payment.")
    if found.paid:
        check_amount(purchase, amount_minor=intent.received_minor - found.tax_minor, currency=intent.currency)
        receipt = _receipt(purchase, account_id, intent, tax_minor=found.tax_minor)
        await settle_payment(session, receipt, heard_at=heard_at, now=now)
    elif intent.status in _DECLINED:
        decline = Decline(
            payment_id=intent.id,
            account_id=account_id,
            kind="bundle",
            terms=purchase.terms,
            currency=purchase.currency,
            amount_minor=found.total_minor,
            attempt=1,
            reason=intent.failure,
            card=intent.card,
        )
        await fail_payment(session, decline, now=now)


def _receipt(purchase: Purchase, account_id: UUID, intent: Intent, *, tax_minor: int) -> Receipt:
    return Receipt(
        payment_id=intent.id,
        account_id=account_id,
        kind="bundle",
        terms=purchase.terms,
        currency=purchase.currency,
        paid_minor=intent.received_minor,
        tax_minor=tax_minor,
        grant_amount=purchase.grant_amount,
        fee_minor=intent.fee_minor,
    )


async def apply_reversals(session: AsyncSession, payment_id: str, reversals: list[Reversal], *, now: datetime) -> None:
    """Money that went back, each movement once; a payment is always settled before it is reversed."""
    payment = await payments.find_payment(session, payment_id)
    if payment is None:
        raise NotOursError("The payment is not one of ours.")
    await accounts.lock_account(session, payment.account_id)
    for reversal in reversals:
        if reversal.currency != payment.currency:
            raise PaymentRefusedError("The currency of what went back is not the payment's.")
        gone_minor = (await payments.sum_reversed(session, [payment_id]))[payment_id]
        if await payments.insert_reversal(session, reversal, payment_id=payment_id, now=now):
            await outbox.add(session, _reversed(payment, reversal, gone_minor=gone_minor, now=now))


def _reversed(payment: Any, reversal: Reversal, *, gone_minor: int, now: datetime) -> PaymentReversed:
    """Without the taxes that went with it. Parts add up; what ends a dispute is about what its opening took."""
    whole = {"whole_minor": payment.amount_minor, "tax_minor": payment.tax_minor}
    before = gone_minor if reversal.kind in {"refund", "dispute_opened"} else 0
    after = untaxed_minor(before + reversal.amount_minor, **whole)
    untaxed = after - untaxed_minor(before, **whole)
    return PaymentReversed(
        id=fact_id(PaymentReversed.type, reversal.id, reversal.kind),
        time=now,
        account_id=payment.account_id,
        payment_id=payment.id,
        reversal_id=reversal.id,
        kind=reversal.kind,
        reversed_minor=untaxed,
        paid_minor=payment.amount_minor,
        tax_minor=reversal.amount_minor - untaxed,
        currency=payment.currency,
    )

"""Payments: settled once with the fee, or failed; each stated once, whatever order the news comes in."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.offers import Terms
from billing.domain.payment_methods import Card
from billing.errors import FeeNotKnownError
from billing.repository import payments
from billing.repository import settings as account_settings
from contracts.billing import PaymentFailed, PaymentSettled
from kit import logging, outbox
from kit.ids import fact_id

log = logging.get(__name__)

FEE_PATIENCE: Final = timedelta(seconds=20)
"""Stripe may know its fee only moments after the money; credits wait no longer than this for it."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Money that Stripe has, and what it grants; `fee_minor` is None while Stripe does not know it.

    `overage_minor` of it pays for use that is past: it grants nothing. `tax_minor` of it is the tax office's.
    """

    payment_id: str
    account_id: UUID
    kind: Literal["bundle", "subscription"]
    terms: Terms
    currency: str
    paid_minor: int
    grant_amount: int
    fee_minor: int | None
    overage_minor: int = 0
    tax_minor: int = 0
    subscription_id: str | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None


async def settle_payment(session: AsyncSession, receipt: Receipt, *, heard_at: datetime, now: datetime) -> None:
    """Book a payment and tell the ledger; the account is locked. A payment that is booked only learns its fee."""
    known = await payments.find_payment(session, receipt.payment_id)
    if known is not None and known.status == "settled":
        if receipt.fee_minor is not None and not known.fee_known:
            await payments.update_payment(session, receipt.payment_id, fee_minor=receipt.fee_minor, fee_known=True)
        return
    if receipt.fee_minor is None:
        if now - heard_at < FEE_PATIENCE:
            raise FeeNotKnownError("Stripe does not know its fee yet.")
        log.error("billing.payment_settled_without_fee", payment_id=receipt.payment_id)
    await _save(session, receipt, failures=known.failures if known else 0, exists=known is not None, now=now)
    await outbox.add(session, _settled(receipt, now=now))


async def _save(session: AsyncSession, receipt: Receipt, *, failures: int, exists: bool, now: datetime) -> None:
    values = {
        "account_id": receipt.account_id,
        "kind": receipt.kind,
        "status": "settled",
        "offer_id": receipt.terms.offer_id,
        "version": receipt.terms.version,
        "subscription_id": receipt.subscription_id,
        "amount_minor": receipt.paid_minor,
        "tax_minor": receipt.tax_minor,
        "currency": receipt.currency,
        "fee_minor": receipt.fee_minor or 0,
        "fee_known": receipt.fee_minor is not None,
        "grant_nano": receipt.grant_amount,
        "failures": failures,
        "settled_at": now,
    }
    if exists:
        await payments.update_payment(session, receipt.payment_id, **values)
        await account_settings.save_settings(session, receipt.account_id, due_at=now)
    else:
        await payments.insert_payment(session, id=receipt.payment_id, created_at=now, **values)


def _settled(receipt: Receipt, *, now: datetime) -> PaymentSettled:
    terms = receipt.terms
    plan = {"plan_id": terms.offer_id, "plan_version": terms.version} if receipt.kind == "subscription" else {}
    return PaymentSettled.model_validate(
        {
            **plan,
            "id": fact_id(PaymentSettled.type, receipt.payment_id),
            "time": now,
            "account_id": receipt.account_id,
            "payment_id": receipt.payment_id,
            "kind": receipt.kind,
            "offer_id": terms.offer_id,
            "subscription_id": receipt.subscription_id,
            "grant_unit": terms.grant_unit,
            "grant_amount": receipt.grant_amount,
            "paid_minor": receipt.paid_minor - receipt.overage_minor - receipt.tax_minor,
            "tax_minor": receipt.tax_minor,
            "use_minor": receipt.overage_minor,
            "fee_minor": receipt.fee_minor or 0,
            "currency": receipt.currency,
            "valid_days": terms.valid_days,
            "period_start": receipt.period_start,
            "period_end": receipt.period_end,
        }
    )


@dataclass(frozen=True, slots=True)
class Decline:
    """The newest failed try at a payment; `attempt` counts them."""

    payment_id: str
    account_id: UUID
    kind: Literal["bundle", "subscription"]
    terms: Terms
    currency: str
    amount_minor: int
    attempt: int
    reason: str | None
    subscription_id: str | None = None
    card: Card | None = None


async def fail_payment(session: AsyncSession, decline: Decline, *, now: datetime) -> None:
    """State a failed try once; one that was overtaken by success, or is known, changes nothing."""
    known = await payments.find_payment(session, decline.payment_id)
    why = {
        "failure": decline.reason,
        "card_brand": decline.card.brand if decline.card else None,
        "card_last4": decline.card.last4 if decline.card else None,
    }
    if known is None:
        await payments.insert_payment(
            session,
            id=decline.payment_id,
            account_id=decline.account_id,
            kind=decline.kind,
            status="failed",
            offer_id=decline.terms.offer_id,
            version=decline.terms.version,
            subscription_id=decline.subscription_id,
            amount_minor=decline.amount_minor,
            currency=decline.currency,
            fee_minor=0,
            fee_known=False,
            grant_nano=0,
            failures=decline.attempt,
            created_at=now,
            **why,
        )
    elif known.status == "settled" or known.failures >= decline.attempt:
        return
    else:
        await payments.update_payment(session, decline.payment_id, failures=decline.attempt, **why)
    await account_settings.save_settings(session, decline.account_id, due_at=now)
    await outbox.add(session, _failed(decline, now=now))


def _failed(decline: Decline, *, now: datetime) -> PaymentFailed:
    return PaymentFailed(
        id=fact_id(PaymentFailed.type, decline.payment_id, decline.attempt),
        time=now,
        account_id=decline.account_id,
        payment_id=decline.payment_id,
        kind=decline.kind,
        offer_id=decline.terms.offer_id,
        amount_minor=decline.amount_minor,
        currency=decline.currency,
        reason=decline.reason,
        card_brand=decline.card.brand if decline.card else None,
        card_last4=decline.card.last4 if decline.card else None,
    )

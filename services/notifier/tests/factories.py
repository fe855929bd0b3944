"""Events as other services state them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from contracts.auth import MessageRequested
from contracts.billing import PaymentFailed, PaymentReversed, PaymentSettled, SubscriptionChanged
from contracts.gateway import CallsRefused
from contracts.ledger import ThresholdCrossed
from contracts.money import Unit
from contracts.operations import LedgerDlqGrew


def _now() -> datetime:
    return datetime.now(UTC)


def threshold_crossed(account_id: UUID, *, level: str = "percent_25", arming: int = 1) -> ThresholdCrossed:
    return ThresholdCrossed(
        id=uuid4(),
        time=_now(),
        account_id=account_id,
        level=level,
        arming=arming,
        unit=Unit.CREDIT,
        base=5_000_000_000,
        available=1_249_999_999,
    )


def calls_refused(account_id: UUID, *, arming: int = 1, count: int = 1, event_id: UUID | None = None) -> CallsRefused:
    return CallsRefused(
        id=event_id or uuid4(),
        time=_now(),
        account_id=account_id,
        reason="credit",
        arming=arming,
        count=count,
        model_asked="claude-sonnet-4-5",
        required_nano=4_500_000,
        available_nano=1_200,
    )


def message_requested(message_id: UUID, *, kind: str = "verify-email") -> MessageRequested:
    return MessageRequested(id=uuid4(), time=_now(), message_id=message_id, kind=kind, user_id=uuid4())


def payment_settled(account_id: UUID) -> PaymentSettled:
    return PaymentSettled(
        id=uuid4(),
        time=_now(),
        account_id=account_id,
        payment_id=f"pi_{uuid4().hex}",
        kind="bundle",
        offer_id="credits-10",
        grant_unit=Unit.CREDIT,
        grant_amount=10_000_000_000,
        paid_minor=1000,
        fee_minor=59,
        currency="usd",
        valid_days=365,
    )


def payment_failed(account_id: UUID) -> PaymentFailed:
    return PaymentFailed(
        id=uuid4(),
        time=_now(),
        account_id=account_id,
        payment_id=f"pi_{uuid4().hex}",
        kind="subscription",
        offer_id="starter",
        amount_minor=2000,
        currency="usd",
        reason="card_declined",
    )


def payment_reversed(account_id: UUID, *, kind: str = "refund") -> PaymentReversed:
    return PaymentReversed(
        id=uuid4(),
        time=_now(),
        account_id=account_id,
        payment_id=f"pi_{uuid4().hex}",
        reversal_id=f"re_{uuid4().hex}",
        kind=kind,
        reversed_minor=500,
        paid_minor=1000,
        currency="usd",
    )


def subscription_changed(account_id: UUID, subscription_id: str, *, version: int = 1, **changed: Any) -> Any:
    given = {"plan_id": "starter", "status": "active", "cancel_at_period_end": False, **changed}
    return SubscriptionChanged(
        id=uuid4(),
        time=_now(),
        account_id=account_id,
        subscription_id=subscription_id,
        version=version,
        plan_version=1,
        current_period_start=_now(),
        current_period_end=_now() + timedelta(days=30 * version),
        **given,
    )


def dlq_grew(topic: str, *, offset: int = 12) -> LedgerDlqGrew:
    return LedgerDlqGrew(id=uuid4(), time=_now(), topic=topic, partition=0, offset=offset, reason="not JSON")

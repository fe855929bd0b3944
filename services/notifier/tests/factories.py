"""Events as other services state them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from contracts.auth import ApiKeyChanged, MessageRequested, SignInWay, UserChanged
from contracts.billing import OverageStranded, PaymentFailed, PaymentReversed, PaymentSettled, SubscriptionChanged
from contracts.gateway import CallsRefused, ProviderStateChanged
from contracts.ledger import MarginFell, PeriodClosed, ReconciliationDiffered, ThresholdCrossed
from contracts.money import Unit
from contracts.operations import LedgerDlqGrew
from kit.ids import fact_id


def _now() -> datetime:
    return datetime.now(UTC)


def threshold_crossed(
    account_id: UUID,
    *,
    level: str = "percent_25",
    arming: int = 1,
    available: int = 1_249_999_999,
    at: str | None = None,
) -> ThresholdCrossed:
    return ThresholdCrossed(
        id=fact_id("threshold", account_id, level, at, available == 0, arming),
        time=_now(),
        account_id=account_id,
        level=level,
        arming=arming,
        unit=Unit.CREDIT,
        base=5_000_000_000,
        available=available,
        at=at,
    )


def calls_refused(
    account_id: UUID, *, arming: int = 1, count: int = 1, event_id: UUID | None = None, reason: str = "credit"
) -> CallsRefused:
    return CallsRefused(
        id=event_id or uuid4(),
        time=_now(),
        account_id=account_id,
        reason=reason,
        arming=arming,
        count=count,
        model_asked="claude-sonnet-4-5",
        required_nano=4_500_000,
        available_nano=1_200,
    )


def message_requested(
    message_id: UUID, *, kind: str = "verify-email", user_id: UUID | None = None, way: SignInWay | None = None
) -> MessageRequested:
    return MessageRequested(
        id=uuid4(), time=_now(), message_id=message_id, kind=kind, user_id=user_id or uuid4(), way=way
    )


def user_deleted(user_id: UUID) -> UserChanged:
    return UserChanged(id=uuid4(), time=_now(), user_id=user_id, version=2, state="deleted", operator=False)


def user_disabled(user_id: UUID) -> UserChanged:
    return UserChanged(id=uuid4(), time=_now(), user_id=user_id, version=2, state="disabled", operator=False)


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


def payment_failed(account_id: UUID, *, reason: str = "card_declined") -> PaymentFailed:
    return PaymentFailed(
        id=uuid4(),
        time=_now(),
        account_id=account_id,
        payment_id=f"pi_{uuid4().hex}",
        kind="subscription",
        offer_id="starter",
        amount_minor=2000,
        currency="usd",
        reason=reason,
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


def period_closed(account_id: UUID, *, ended_days_ago: float = 0) -> PeriodClosed:
    ended = _now() - timedelta(days=ended_days_ago)
    return PeriodClosed(
        id=uuid4(),
        time=ended,
        account_id=account_id,
        plan_id="pro",
        plan_version=1,
        period_start=ended - timedelta(days=30),
        period_end=ended,
        unit=Unit.TOKEN,
        granted=2_000_000,
        used=1_834_211,
        calls=1_204,
    )


def api_key_changed(account_id: UUID, *, version: int = 1, made_days_ago: float = 0) -> ApiKeyChanged:
    return ApiKeyChanged(
        id=uuid4(),
        time=_now() - timedelta(days=made_days_ago),
        account_id=account_id,
        api_key_id=uuid4(),
        user_id=uuid4(),
        version=version,
        state="active",
        key_sha256="0" * 64,
    )


def reconciliation_differed(instance: str) -> ReconciliationDiffered:
    return ReconciliationDiffered(
        id=uuid4(),
        time=_now(),
        gateway_instance=instance,
        window_start=_now() - timedelta(minutes=10),
        window_end=_now(),
        admitted=12,
        booked=11,
        missing=(uuid4(),),
    )


def margin_fell(subject: str) -> MarginFell:
    return MarginFell(
        id=uuid4(),
        time=_now(),
        subject=subject,
        scope="plan",
        window_start=_now() - timedelta(days=1),
        window_end=_now(),
        revenue_nano=10_000_000_000,
        cost_nano=11_000_000_000,
        margin_bps=-1_000,
        floor_bps=1_500,
    )


def overage_stranded(account_id: UUID) -> OverageStranded:
    return OverageStranded(
        id=uuid4(), time=_now(), account_id=account_id, amount_nano=4_120_000_000, since=_now() - timedelta(days=1)
    )


def provider_state(route: str, *, state: str = "broken") -> ProviderStateChanged:
    return ProviderStateChanged(
        id=uuid4(),
        time=_now(),
        gateway_instance="gateway-1",
        provider="anthropic",
        route=route,
        state=state,
        reason="5 of 10 calls failed",
    )

"""Events as other services would send them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from contracts.auth import AccountActivated, AccountChanged, AccountCreated
from contracts.billing import Allowance, PaymentReversed, PaymentSettled, PlanPublished, SubscriptionChanged
from contracts.event import Event
from contracts.gateway import Allocation, Counts, UsageRecorded
from contracts.ledger import Limits
from contracts.money import NANO_PER_CREDIT, Unit
from kit.clock import Clock
from kit.ids import fact_id, uuid7

MODEL = "claude-sonnet-4-5"
CREDIT = NANO_PER_CREDIT
# One call of 1000 input tokens at 3000 nano each and 15 % markup.
CALL_TOKENS = 1000
CALL_NANO = 3_450_000


class Factory:
    """Makes events at the clock's time."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def created(self, account_id: UUID) -> AccountCreated:
        return AccountCreated(
            id=fact_id("created", account_id),
            time=self.clock.now(),
            account_id=account_id,
            kind="personal",
            owner_user_id=uuid4(),
        )

    def activated(self, account_id: UUID) -> AccountActivated:
        return AccountActivated(id=fact_id("activated", account_id), time=self.clock.now(), account_id=account_id)

    def changed(self, account_id: UUID, *, version: int, state: Any) -> AccountChanged:
        return AccountChanged(
            id=fact_id("changed", account_id, version),
            time=self.clock.now(),
            account_id=account_id,
            version=version,
            kind="personal",
            state=state,
        )

    def plan(self, plan_id: str = "trial", *, version: int = 1, default: bool = True, **more: Any) -> PlanPublished:
        allowance = Allowance(rule="trial", unit=Unit.CREDIT, amount=5 * CREDIT, valid_days=14, priority=50)
        values: dict[str, Any] = {
            "name": plan_id.title(),
            "allowances": (allowance,) if default else (),
            "limits": Limits(requests_per_minute=60),
            "effective_at": self.clock.now(),
        }
        return PlanPublished(
            id=fact_id("plan", plan_id, version, uuid4()),
            time=self.clock.now(),
            plan_id=plan_id,
            version=version,
            default=default,
            **{**values, **more},
        )

    def subscription(self, account_id: UUID, *, version: int, status: Any, **more: Any) -> SubscriptionChanged:
        now = self.clock.now()
        values: dict[str, Any] = {
            "subscription_id": f"sub_{account_id}",
            "plan_id": "starter",
            "plan_version": 1,
            "current_period_start": now,
            "current_period_end": now + timedelta(days=30),
        }
        return SubscriptionChanged(
            id=uuid4(), time=now, account_id=account_id, version=version, status=status, **{**values, **more}
        )

    def settled(self, account_id: UUID, amount: int = 10 * CREDIT, **more: Any) -> PaymentSettled:
        payment_id = more.pop("payment_id", f"pi_{uuid4().hex}")
        values: dict[str, Any] = {
            "kind": "bundle",
            "offer_id": "credits-10",
            "grant_unit": Unit.CREDIT,
            "grant_amount": amount,
            "paid_minor": 1000,
            "fee_minor": 59,
            "currency": "usd",
            "valid_days": 365,
        }
        return PaymentSettled(
            id=fact_id("settled", payment_id),
            time=self.clock.now(),
            account_id=account_id,
            payment_id=payment_id,
            **{**values, **more},
        )

    def reversed(
        self, payment: PaymentSettled, kind: Any, *, minor: int = 1000, reversal_id: str = "re_1"
    ) -> PaymentReversed:
        return PaymentReversed(
            id=fact_id("reversed", payment.payment_id, reversal_id, kind),
            time=self.clock.now(),
            account_id=payment.account_id,
            payment_id=payment.payment_id,
            reversal_id=f"{reversal_id}_{payment.payment_id}",
            kind=kind,
            reversed_minor=minor,
            paid_minor=payment.paid_minor,
            currency="usd",
        )

    def usage(self, account_id: UUID, *, tokens: int = CALL_TOKENS, **more: Any) -> UsageRecorded:
        """A call of `tokens` input tokens: 3450 nano-credits each, markup included."""
        now: datetime = more.pop("admitted_at", self.clock.now())
        values: dict[str, Any] = {
            "id": uuid7(self.clock),
            "gateway_instance": "gateway-1",
            "surface": "/v1/messages",
            "streamed": True,
            "model_asked": MODEL,
            "model_served": MODEL,
            "route": "anthropic",
            "outcome": "completed",
            "basis": "provider",
            "http_status": 200,
            "counts": Counts(input_tokens=tokens),
            "admitted_at": now,
            "first_byte_at": now,
            "ended_at": now,
            "price_book_version": 1,
            "plan_id": "trial",
            "plan_version": 1,
            "markup_bps": 1500,
        }
        return UsageRecorded(time=now, account_id=account_id, **{**values, **more})

    def orphaned(self, usage: UsageRecorded) -> UsageRecorded:
        """What a sweeper reports of the same call."""
        return usage.model_copy(update={"outcome": "orphaned", "basis": "none", "counts": Counts()})


def allocated(slice_id: UUID, amount: int) -> tuple[Allocation, ...]:
    return (Allocation(slice_id=slice_id, unit=Unit.CREDIT, amount=amount),)


def encoded(event: Event, source: str = "test") -> bytes:
    return event.encode(source)

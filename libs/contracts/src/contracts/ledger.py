"""What the ledger says: each account's admission state, thresholds, the price book."""

from typing import Any, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime

from contracts.event import Event, IntString, Part
from contracts.money import AccountState, BasisPoints, Currency, Unit
from contracts.terms import BudgetState, Limits, PaymentProblem, Terms

__all__ = ["Limits"]

ThresholdLevel = Literal[
    "percent_25",
    "percent_10",
    "empty",
    "percent",
    "credits",
    "days_left",
    "spend_spike",
    "soft_limit",
    "overage_ceiling",
]


class Slice(Part):
    """What may still be used in `[starts_at, expires_at)`; listed in burn order, future ones included.

    An `overage` slice is the room for what is billed later: its unit is credit, its id stands for the period's overage.
    """

    slice_id: UUID
    unit: Unit
    amount: IntString
    starts_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    kind: Literal["grant", "overage"] = "grant"


class Armed(Part):
    """What one unit's thresholds are measured against: granted when they were armed, and when it comes anew."""

    unit: Unit
    amount: IntString
    renews_at: AwareDatetime | None = None


class BalanceChanged(Event):
    """The account's whole admission state (money.md 4), and the calls applied since the version before (6).

    Not compacted: each version's `applied` matters. Snapshots asked for by HTTP have the same shape.
    """

    type: ClassVar[str] = "ledger.balance-changed.v1"

    account_id: UUID
    version: int
    state: AccountState
    plan_id: str | None = None
    plan_version: int | None = None
    admission: Literal["strict", "elastic"] = "strict"
    models: tuple[str, ...] | None = None
    limits: Limits = Limits()
    markup_bps: BasisPoints
    debt_nano: IntString = 0
    overage_room_nano: IntString = 0
    slices: tuple[Slice, ...] = ()
    applied: tuple[UUID, ...] = ()
    arming: int = 0
    terms: Terms = Terms()
    budgets: tuple[BudgetState, ...] = ()
    armed: tuple[Armed, ...] = ()
    payment_problem: PaymentProblem | None = None


class ThresholdCrossed(Event):
    """No more than the level's share of `base` is left; once per level and arming (money.md 25).

    `at` is the figure of a level that the account chose itself: percent left, nano-credits left, days until empty.
    `overage_ceiling` comes twice in a period: near the ceiling, with something `available` below it, and at it.
    """

    type: ClassVar[str] = "ledger.threshold-crossed.v1"

    account_id: UUID
    level: ThresholdLevel
    arming: int
    unit: Unit
    base: IntString
    available: IntString
    at: str | None = None


class PriceBookPublished(Event):
    """A price book version; `book` is `rating.PriceBook` as JSON. A version is never edited, a new one supersedes."""

    type: ClassVar[str] = "ledger.price-book-published.v1"
    key_fields: ClassVar[tuple[str, ...]] = ("version",)

    version: int
    effective_at: AwareDatetime
    book: dict[str, Any]


class ChargeBooked(Event):
    """One call's charge as it was booked; `call_id` is also the id of its usage event."""

    type: ClassVar[str] = "ledger.charge-booked.v1"

    account_id: UUID
    call_id: UUID
    project_id: UUID | None = None
    user_id: UUID | None = None
    api_key_id: UUID | None = None
    outcome: str
    model: str | None = None
    price_nano: IntString
    cost_nano: IntString
    price_book_version: int
    plan_tokens: IntString = 0
    reverses: UUID | None = None


class PeriodClosed(Event):
    """A plan's period of an account is over: what was granted, used and carried on, and its overage."""

    type: ClassVar[str] = "ledger.period-closed.v1"

    account_id: UUID
    plan_id: str
    plan_version: int
    period_start: AwareDatetime
    period_end: AwareDatetime
    unit: Unit
    granted: IntString
    used: IntString
    rolled_over: IntString = 0
    expired: IntString = 0
    overage_nano: IntString = 0
    calls: int = 0


class OverageAccrued(Event):
    """Overage of one account and hour that has to be collected; a later row of the same hour has the next sequence.

    `quantity` is in `unit`: 1,000 plan tokens where the plan bills by them, else nano-credits.
    """

    type: ClassVar[str] = "ledger.overage-accrued.v1"

    account_id: UUID
    plan_id: str
    plan_version: int
    hour: AwareDatetime
    sequence: int
    collect: Literal["meter", "payment"]
    unit: Unit
    quantity: IntString
    amount_nano: IntString
    currency: Currency = "usd"
    late: bool = False


class HeadSealed(Event):
    """The chain's head of one account at the end of a UTC day (money.md 22). Keyed by account."""

    type: ClassVar[str] = "ledger.head-sealed.v1"

    account_id: UUID
    version: int
    day: str
    sequence: IntString
    hash_hex: str
    balance_nano: IntString


class ReconciliationDiffered(Event):
    """A window in which the equation of money.md 31 does not hold; names at most 100 ids. Keyed by instance."""

    type: ClassVar[str] = "ledger.reconciliation-differed.v1"
    key_fields: ClassVar[tuple[str, ...]] = ("gateway_instance",)

    gateway_instance: str
    window_start: AwareDatetime
    window_end: AwareDatetime
    admitted: int
    booked: int
    parked: int = 0
    set_aside: int = 0
    missing: tuple[UUID, ...] = ()


class MarginFell(Event):
    """The margin of a plan, model or account over a window is below the operator's floor. Keyed by subject."""

    type: ClassVar[str] = "ledger.margin-fell.v1"
    key_fields: ClassVar[tuple[str, ...]] = ("subject",)

    subject: str
    scope: Literal["plan", "model", "account"]
    window_start: AwareDatetime
    window_end: AwareDatetime
    revenue_nano: IntString
    cost_nano: IntString
    margin_bps: int
    floor_bps: int

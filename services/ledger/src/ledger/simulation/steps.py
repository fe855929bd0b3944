"""What happens in a simulated year: plain values that both ledgers are told."""

import calendar
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

ReversalKind = Literal["refund", "dispute_opened", "dispute_won", "dispute_lost"]
Outcome = Literal["completed", "refused", "orphaned"]
Unit = Literal["credit", "token", "request"]
Policy = Literal["block", "bill", "warn"]
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a plan gives per period and how it is paid past that; the free one gives credits once as well.

    `roll_over_cap` None: nothing moves on. `output_hundredths`: how many hundredths of a plan token one of output is.
    """

    plan_id: str
    unit: Unit
    amount: int
    price_minor: int = 0
    roll_over_cap: int | None = None
    overage: Policy = "block"
    nano_per_1k_tokens: int | None = None
    output_hundredths: int = 100
    request_max_nano: int | None = None
    trial_nano: int = 0
    trial_days: int = 0

    @property
    def is_free(self) -> bool:
        return not self.price_minor


@dataclass(frozen=True, slots=True)
class PriceBook:
    """A version: nano-credits per input and output token of each model."""

    version: int
    effective_at: datetime
    rates: dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class SignUp:
    account: UUID


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription as billing tells of it; an older version is news of the past."""

    account: UUID
    subscription_id: str
    version: int
    plan_id: str
    is_active: bool
    period: Span


@dataclass(frozen=True, slots=True)
class Settings:
    """How much may be billed later."""

    account: UUID
    version: int
    ceiling_nano: int | None
    has_payment_method: bool


@dataclass(frozen=True, slots=True)
class Payment:
    """`period` makes it a subscription's payment for that period of a plan; else it is a bundle of `valid_days`."""

    account: UUID
    payment_id: str
    amount: int
    paid_minor: int
    valid_days: int | None
    period: Span | None
    unit: Unit = "credit"
    plan_id: str | None = None


@dataclass(frozen=True, slots=True)
class Reversal:
    account: UUID
    payment_id: str
    reversal_id: str
    kind: ReversalKind
    minor: int


@dataclass(frozen=True, slots=True)
class Call:
    account: UUID
    call_id: UUID
    admitted_at: datetime
    model: str
    input_tokens: int
    output_tokens: int
    version: int
    markup_bps: int
    outcome: Outcome
    plan_id: str


@dataclass(frozen=True, slots=True)
class Adjustment:
    account: UUID
    amount: int
    days: int | None


@dataclass(frozen=True, slots=True)
class CallRefund:
    """An operator gives back what is left of a call, or only `amount` credits of it."""

    account: UUID
    call_id: UUID
    amount: int | None


@dataclass(frozen=True, slots=True)
class Rerating:
    """The calls admitted in `[start, end)` are rated again by a version of the price book."""

    version: int
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Settle:
    """The housekeeping looks at everybody whose time has come."""


OfAccount = SignUp | Subscription | Settings | Payment | Reversal | Call | Adjustment | CallRefund
OfAll = PriceBook | Rerating | Settle
Happening = OfAccount | OfAll


@dataclass(frozen=True, slots=True)
class Step:
    """What happens together at one instant: events of one batch, or one act. `crashes`: it is broken off first."""

    number: int
    at: datetime
    happenings: tuple[Happening, ...]
    crashes: bool = False


def months_after(instant: datetime, months: int) -> datetime:
    """The same day and time, or the month's last day where it has no such day."""
    year, month = divmod(instant.year * 12 + instant.month - 1 + months, 12)
    day = min(instant.day, calendar.monthrange(year, month + 1)[1])
    return instant.replace(year=year, month=month + 1, day=day)

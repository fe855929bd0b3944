"""What happens in a simulated year: plain values that both ledgers are told."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

ReversalKind = Literal["refund", "dispute_opened", "dispute_won", "dispute_lost"]
Outcome = Literal["completed", "refused", "orphaned"]


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
class Payment:
    """`period` makes it a subscription's payment for that period; else it is a bundle of `valid_days`."""

    account: UUID
    payment_id: str
    amount: int
    paid_minor: int
    valid_days: int | None
    period: tuple[datetime, datetime] | None


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


@dataclass(frozen=True, slots=True)
class Adjustment:
    account: UUID
    amount: int
    days: int | None


@dataclass(frozen=True, slots=True)
class Settle:
    """The housekeeping looks at everybody whose time has come."""


Happening = PriceBook | SignUp | Payment | Reversal | Call | Adjustment | Settle


@dataclass(frozen=True, slots=True)
class Step:
    """What happens together at one instant: events of one batch, or one act. `crashes`: it is rolled back first."""

    number: int
    at: datetime
    happenings: tuple[Happening, ...]
    crashes: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """The plan of everybody: credits once, tokens per month with a roll-over."""

    trial_nano: int
    trial_days: int
    monthly_tokens: int
    roll_over_cap: int

"""What is used past grants and credits and billed later: rows per account, plan and hour (money.md 32)."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from kit.ids import fact_id


class AccrualKey(NamedTuple):
    """Where an amount accrues; late ones stand in the hour in which they were booked."""

    plan_id: str
    plan_version: int
    hour: datetime
    is_late: bool


@dataclass(slots=True)
class Accrual:
    """What accrued there in this transaction; `nano_per_1k_tokens` is the plan's rate, None for the price book's."""

    collect: str
    nano_per_1k_tokens: int | None
    amount_nano: int = 0


class Quantity(NamedTuple):
    """What is to be collected of an hour, and what is carried on to the next because it is less than one unit."""

    quantity: int
    carry_nano: int


def quantity_of(amount_nano: int, *, carry_nano: int, nano_per_1k_tokens: int | None) -> Quantity:
    """An hour's amount in the unit that is billed; quantities of all hours add up to the amounts, less one carry."""
    if not nano_per_1k_tokens:
        return Quantity(amount_nano, carry_nano)
    return Quantity(*divmod(amount_nano + carry_nano, nano_per_1k_tokens))


def hour_of(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)


def overage_slice_id(account_id: UUID, period_start: datetime) -> UUID:
    """Stands for the overage of the period that starts then."""
    return fact_id(account_id, period_start.isoformat(), "overage")

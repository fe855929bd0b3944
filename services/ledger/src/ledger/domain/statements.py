"""An account's statement of a UTC month: what it opened with, what moved, what it closed with."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from contracts.money import Unit
from ledger.domain.periods import Period, boundary
from ledger.domain.positions import EXPIRIES, Standing
from ledger.errors import PeriodError

_MONTH: Final = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])", re.ASCII)
EXPIRY: Final = "expiry"
SCHEDULED: Final = "scheduled"


@dataclass(frozen=True, slots=True)
class UnitStatement:
    """One unit: opening and the movements add up to closing."""

    unit: Unit
    opening: int
    movements: list[tuple[str, int]]
    closing: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A month of an account. Once the month is over it never changes: what comes late counts when it is booked."""

    period: str
    starts_at: datetime
    ends_at: datetime
    is_closed: bool
    units: list[UnitStatement]
    debt_nano: int
    overage_nano: int


def month_of(text: str) -> Period:
    """The UTC month that `YYYY-MM` names."""
    found = _MONTH.fullmatch(text)
    if not found:
        raise PeriodError('must be a month like "2026-11"', field="period")
    starts_at = datetime(int(found[1]), int(found[2]), 1, tzinfo=UTC)
    return Period(0, starts_at, boundary(starts_at, 1))


def statement(name: str, period: Period, *, opening: Standing, closing: Standing, now: datetime) -> Statement:
    """From where an account stood just before the month and where it stood at its end."""
    account_id = closing.account_id
    return Statement(
        period=name,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        is_closed=period.ends_at <= now,
        units=[one for unit in Unit if (one := _unit(unit, opening, closing)) is not None],
        debt_nano=closing.position.debt_nano(account_id),
        overage_nano=closing.position.receivable_nano(account_id) - opening.position.receivable_nano(account_id),
    )


def _unit(unit: Unit, opening: Standing, closing: Standing) -> UnitStatement | None:
    """Expiry and start are decided by time, whenever they are booked; every other movement is its transfers' sum."""
    before, after = opening.position.kinds, closing.position.kinds
    moved = {kind: after[kind, one] - before[kind, one] for kind, one in sorted(after) if one == unit}
    booked = sum(moved.pop(kind, 0) for kind in EXPIRIES)
    moved[EXPIRY] = booked - (closing.expired(unit) - opening.expired(unit))
    moved[SCHEDULED] = opening.ahead(unit) - closing.ahead(unit)
    movements = [(kind, amount) for kind, amount in moved.items() if amount]
    first, last = opening.usable(unit), closing.usable(unit)
    if not movements and not first and not last and unit is not Unit.CREDIT:
        return None
    return UnitStatement(unit, first, movements, last)

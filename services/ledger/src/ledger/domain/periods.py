"""Monthly and yearly periods from an anchor: period n starts at anchor + n months, clamped, not a month after the last.

Instants are UTC and periods half-open, so that neither a zone's clock change nor a short month moves a boundary: an
anchor on the 31st renews on the 28th or 29th of February, and on the 31st of March again.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

Interval = Literal["month", "year"]

_MONTHS: Final[dict[Interval, int]] = {"month": 1, "year": 12}
_MONTHS_OF_YEAR: Final = 12


@dataclass(frozen=True, slots=True)
class Period:
    """`[starts_at, ends_at)`, the `index`-th from its anchor; the name is unique per rule and account."""

    index: int
    starts_at: datetime
    ends_at: datetime

    @property
    def name(self) -> str:
        return f"{self.starts_at.isoformat()}/{self.ends_at.isoformat()}"

    def contains(self, instant: datetime) -> bool:
        return self.starts_at <= instant < self.ends_at


def boundary(anchor: datetime, index: int, *, interval: Interval = "month") -> datetime:
    """The start of period `index`; `anchor` is aware and in UTC."""
    if anchor.utcoffset() != timedelta(0):
        raise ValueError("an anchor is an instant in UTC")
    months = anchor.year * _MONTHS_OF_YEAR + anchor.month - 1 + index * _MONTHS[interval]
    year, month = divmod(months, _MONTHS_OF_YEAR)
    day = min(anchor.day, monthrange(year, month + 1)[1])
    return anchor.replace(year=year, month=month + 1, day=day)


def period(anchor: datetime, index: int, *, interval: Interval = "month") -> Period:
    return Period(index, boundary(anchor, index, interval=interval), boundary(anchor, index + 1, interval=interval))


def period_at(anchor: datetime, instant: datetime, *, interval: Interval = "month") -> Period:
    """The period that holds an instant; before the anchor they count down from -1."""
    months = (instant.year - anchor.year) * _MONTHS_OF_YEAR + instant.month - anchor.month
    index = months // _MONTHS[interval]
    # A clamped boundary lies at most a period away from where the calendar's months put it.
    while boundary(anchor, index, interval=interval) > instant:
        index -= 1
    while boundary(anchor, index + 1, interval=interval) <= instant:
        index += 1
    return period(anchor, index, interval=interval)


def prorated(amount: int, *, whole: Period, starts_at: datetime) -> int:
    """The share of a period's amount that its rest from `starts_at` on is worth, rounded down to the unit."""
    rest = whole.ends_at - max(starts_at, whole.starts_at)
    length = whole.ends_at - whole.starts_at
    microsecond = timedelta(microseconds=1)
    return max(0, amount * (rest // microsecond) // (length // microsecond))

"""Monthly and yearly periods from an anchor: the n-th starts at anchor + n months, clamped, never a month after one."""

from calendar import monthrange
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

Interval = Literal["month", "year"]
_MONTHS: Final[dict[Interval, int]] = {"month": 1, "year": 12}
_MONTHS_OF_YEAR: Final = 12


class Span(NamedTuple):
    """`[starts_at, ends_at)`."""

    starts_at: datetime
    ends_at: datetime

    def share(self, amount: int, part: "Span") -> int:
        """What a part of the span is worth of an amount, rounded down."""
        microsecond = timedelta(microseconds=1)
        starts_at, ends_at = max(part.starts_at, self.starts_at), min(part.ends_at, self.ends_at)
        of_part = max(0, (ends_at - starts_at) // microsecond)
        return amount * of_part // ((self.ends_at - self.starts_at) // microsecond)


def boundary(anchor: datetime, index: int, *, interval: Interval = "month") -> datetime:
    months = anchor.year * _MONTHS_OF_YEAR + anchor.month - 1 + index * _MONTHS[interval]
    year, month = divmod(months, _MONTHS_OF_YEAR)
    return anchor.replace(year=year, month=month + 1, day=min(anchor.day, monthrange(year, month + 1)[1]))


def span_at(anchor: datetime, instant: datetime, *, interval: Interval = "month") -> Span:
    """The period that holds an instant at or after the anchor."""
    index = max(0, ((instant.year - anchor.year) * _MONTHS_OF_YEAR + instant.month - anchor.month) // _MONTHS[interval])
    while index and boundary(anchor, index, interval=interval) > instant:
        index -= 1
    while boundary(anchor, index + 1, interval=interval) <= instant:
        index += 1
    return Span(boundary(anchor, index, interval=interval), boundary(anchor, index + 1, interval=interval))


def span_before(ends_at: datetime, *, interval: Interval) -> Span:
    """The period that ends then, where its real start is no longer known."""
    return Span(boundary(ends_at, -1, interval=interval), ends_at)


def hour_of(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)

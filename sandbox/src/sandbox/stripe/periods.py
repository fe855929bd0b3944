"""Billing periods, each counted from the anchor and never from the one before: a 31st comes back after February."""

import calendar
from datetime import UTC, datetime, timedelta

DAYS = {"day": 1, "week": 7}
MONTHS = {"month": 1, "year": 12}


def boundary(anchor: int, *, interval: str, interval_count: int, index: int) -> int:
    """When period `index` begins, in seconds; period 0 begins at the anchor."""
    start = datetime.fromtimestamp(anchor, UTC)
    steps = interval_count * index
    if interval in DAYS:
        return int((start + timedelta(days=DAYS[interval] * steps)).timestamp())
    return int(_months_later(start, MONTHS[interval] * steps).timestamp())


def _months_later(start: datetime, months: int) -> datetime:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    last_day = calendar.monthrange(year, month + 1)[1]
    return start.replace(year=year, month=month + 1, day=min(start.day, last_day))

"""Plain forecasts of an account's spending, out of its own last days."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Final

DAYS: Final = 7
LEAST_HISTORY: Final = 3


def per_day(spent: Mapping[date, int], *, today: date) -> int:
    """The mean of the last seven whole days, from the first with any use on."""
    days = [spent.get(today - timedelta(days=back), 0) for back in range(DAYS, 0, -1)]
    while days and not days[0]:
        days.pop(0)
    return sum(days) // len(days) if days else 0


def days_left(available: int, rate_per_day: int) -> int | None:
    """Whole days until nothing is left; None where nothing is used."""
    return available // rate_per_day if rate_per_day > 0 else None


def is_spike(spent: Mapping[date, int], *, today: date, percent: int) -> bool:
    """Whether today has reached that percentage of the mean of the days before, of which there are at least three."""
    history = [amount for day, amount in spent.items() if today - timedelta(days=DAYS) <= day < today and amount]
    if len(history) < LEAST_HISTORY:
        return False
    return spent.get(today, 0) * 100 * len(history) >= percent * sum(history)


def passed_days(left: int | None, figures: Sequence[int]) -> list[int]:
    return [figure for figure in figures if left is not None and left <= figure]

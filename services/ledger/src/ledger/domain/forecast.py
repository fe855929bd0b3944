"""When an account runs out, and what its period's overage will be: the same days always give the same answer.

Every whole day counts half as much as the one a week after it. The band is the 10th and the 90th percentile, with the
same weights, of the means over up to seven days in a row: single days would call each quiet Sunday a trend.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

METHOD: Final = "exponentially weighted daily spend, half-life 7 days; band: p10 to p90 of 7-day means"
SAMPLE_DAYS: Final = 28
HALF_LIFE_DAYS: Final = 7
WINDOW_DAYS: Final = 7
HORIZON: Final = timedelta(days=366)
_UNIT_WEIGHT: Final = 1 << 20
_DAY: Final = timedelta(days=1)


class Band(NamedTuple):
    """An expected figure between a low and a high one."""

    expected: int
    low: int
    high: int


class Pool(NamedTuple):
    """What a grant still pays for, as a price, in `[starts_at, expires_at)`; listed in burn order."""

    value_nano: int
    starts_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class RunOut:
    """When a spend per day is first not covered; None is not within the horizon."""

    expected: datetime | None
    earliest: datetime | None
    latest: datetime | None


def daily_band(days: Sequence[int]) -> Band | None:
    """The spend per day that whole days, oldest first, lead to expect; None without a day."""
    sample = days[-SAMPLE_DAYS:]
    if not sample:
        return None
    size = min(WINDOW_DAYS, len(sample))
    means = [sum(sample[at - size : at]) // size for at in range(size, len(sample) + 1)]
    weighted = list(zip(means, _weights(len(means)), strict=True))
    expected = _mean(list(zip(sample, _weights(len(sample)), strict=True)))
    low, high = _quantile(weighted, percent=10), _quantile(weighted, percent=90)
    return Band(expected, min(low, expected), max(high, expected))


def run_out(band: Band, pools: Sequence[Pool], *, owed_nano: int, now: datetime) -> RunOut:
    """With the expected, the high and the low spend per day."""
    expected, latest, earliest = (
        _uncovered(spend, pools, owed_nano=owed_nano, now=now, until=now + HORIZON)[0] for spend in band
    )
    return RunOut(expected, earliest, latest)


def uncovered_until(band: Band, pools: Sequence[Pool], *, now: datetime, until: datetime) -> Band:
    """What nothing will have paid by an instant."""
    return Band(*(_uncovered(spend, pools, owed_nano=0, now=now, until=until)[1] for spend in band))


def _uncovered(
    daily_nano: int, pools: Sequence[Pool], *, owed_nano: int, now: datetime, until: datetime
) -> tuple[datetime | None, int]:
    """When something is first not covered, and how much up to an instant, in steps of a day."""
    left = [pool.value_nano for pool in pools]
    _take(left, pools, owed_nano, at=now)
    first, missing, at = None, 0, now
    while at < until and daily_nano:
        step = min(_DAY, until - at)
        wanted = daily_nano * (step // timedelta(microseconds=1)) // (_DAY // timedelta(microseconds=1))
        short = _take(left, pools, wanted, at=at)
        if short and first is None:
            first = at + step * ((wanted - short) / wanted)
        missing += short
        at += step
    return first, missing


def _take(left: list[int], pools: Sequence[Pool], wanted: int, *, at: datetime) -> int:
    for number, pool in enumerate(pools):
        if pool.starts_at <= at and (pool.expires_at is None or at < pool.expires_at):
            taken = min(left[number], wanted)
            left[number] -= taken
            wanted -= taken
    return wanted


def _weights(number: int) -> list[int]:
    return [max(1, round(_UNIT_WEIGHT * 0.5 ** (age / HALF_LIFE_DAYS))) for age in reversed(range(number))]


def _mean(weighted: Sequence[tuple[int, int]]) -> int:
    total = sum(weight for _, weight in weighted)
    return (sum(value * weight for value, weight in weighted) + total // 2) // total


def _quantile(weighted: Sequence[tuple[int, int]], *, percent: int) -> int:
    """The smallest value that at least this share of the weight does not exceed."""
    total, seen = sum(weight for _, weight in weighted), 0
    for value, weight in sorted(weighted):
        seen += weight
        if seen * 100 >= total * percent:
            return value
    raise AssertionError("the weights add up to their total")

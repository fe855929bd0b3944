"""Calendars (billing facts, section 5: what drifted for others)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.periods import Interval, boundary, period, period_at, prorated

INSTANTS = st.datetimes(datetime(1990, 1, 1), datetime(2080, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # hypothesis adds the zone
INTERVALS = st.sampled_from(["month", "year"])


def _utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


def test_an_anchor_on_the_31st_is_clamped_and_does_not_drift() -> None:
    starts = [boundary(_utc(2027, 1, 31, 9), index) for index in range(4)]

    assert starts == [_utc(2027, 1, 31, 9), _utc(2027, 2, 28, 9), _utc(2027, 3, 31, 9), _utc(2027, 4, 30, 9)]


def test_a_leap_day_renews_on_the_28th_and_on_the_29th_again_after_four_years() -> None:
    assert boundary(_utc(2028, 2, 29), 1, interval="year") == _utc(2029, 2, 28)
    assert boundary(_utc(2028, 2, 29), 4, interval="year") == _utc(2032, 2, 29)


def test_a_boundary_belongs_to_the_period_that_it_starts() -> None:
    anchor = _utc(2027, 1, 31)

    assert period_at(anchor, _utc(2027, 2, 28)).index == 1
    assert period_at(anchor, _utc(2027, 2, 28) - timedelta(microseconds=1)).index == 0


def test_an_anchor_outside_of_utc_is_refused() -> None:
    with pytest.raises(ValueError, match="UTC"):
        boundary(datetime(2027, 1, 1), 1)  # noqa: DTZ001  # a naive anchor is the point


@given(INSTANTS, INSTANTS, INTERVALS)
def test_every_instant_lies_in_exactly_one_period(anchor: datetime, instant: datetime, interval: Interval) -> None:
    found = period_at(anchor, instant, interval=interval)
    neighbours = [period(anchor, found.index + step, interval=interval) for step in (-1, 1)]

    assert found.contains(instant)
    assert not any(neighbour.contains(instant) for neighbour in neighbours)
    assert neighbours[0].ends_at == found.starts_at
    assert found.ends_at == neighbours[1].starts_at


@given(INSTANTS, st.integers(-400, 400))
def test_the_day_of_the_month_comes_back_wherever_the_month_has_it(anchor: datetime, index: int) -> None:
    start = boundary(anchor, index)

    assert start.day == anchor.day or (start.day < anchor.day and (start + timedelta(days=1)).day == 1)
    assert start.timetz() == anchor.timetz()


@given(st.integers(0, 10**15), INSTANTS, INSTANTS)
def test_a_prorated_amount_is_never_more_than_the_whole_and_the_parts_never_exceed_it(
    amount: int, anchor: datetime, instant: datetime
) -> None:
    whole = period_at(anchor, instant)

    assert prorated(amount, whole=whole, starts_at=whole.starts_at) == amount
    assert 0 <= prorated(amount, whole=whole, starts_at=instant) <= amount
    assert prorated(amount, whole=whole, starts_at=whole.ends_at) == 0

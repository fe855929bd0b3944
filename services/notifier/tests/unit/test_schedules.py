"""Nights and digests by the clocks on the wall, on every day of every zone."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain.schedules import Schedule, is_time_zone

BERLIN = "Europe/Berlin"
# Whole hours, half hours, half-hour summer time, jumps at midnight, and a day that was left out.
ZONES = (BERLIN, "UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Santiago", "Pacific/Apia")
times = st.times(max_value=time(23, 59)).map(lambda at: at.replace(second=0, microsecond=0))
instants = st.datetimes(datetime(2011, 1, 1), datetime(2030, 12, 31)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001


def night(zone: str, start: str, end: str) -> Schedule:
    return Schedule(zone, time.fromisoformat(start), time.fromisoformat(end))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@settings(max_examples=200, deadline=None)
@given(zone=st.sampled_from(ZONES), start=times, end=times, instant=instants)
def test_the_end_of_a_quiet_time_is_never_quiet_and_comes_within_days(
    zone: str, start: time, end: time, instant: datetime
) -> None:
    if start == end:
        return
    schedule = Schedule(zone, start, end)

    free_at = schedule.quiet_end(instant)

    assert not schedule.is_quiet(free_at)
    assert (free_at > instant) == schedule.is_quiet(instant)
    assert free_at - instant <= timedelta(hours=49)


@settings(max_examples=200, deadline=None)
@given(zone=st.sampled_from(ZONES), digest_at=times, start=times, end=times, instant=instants)
def test_a_digest_comes_after_its_notices_within_days_and_never_at_night(
    zone: str, digest_at: time, start: time, end: time, instant: datetime
) -> None:
    schedule = Schedule(zone, start, end, digest_at) if start != end else Schedule(zone, digest_at=digest_at)

    due = schedule.next_digest(instant)

    assert due > instant
    assert due - instant <= timedelta(hours=73)
    assert not schedule.is_quiet(due)


@settings(max_examples=100, deadline=None)
@given(zone=st.sampled_from(ZONES), digest_at=times, start=instants)
def test_a_year_of_digests_has_one_a_day_give_or_take_where_clocks_change(
    zone: str, digest_at: time, start: datetime
) -> None:
    schedule, due, gaps = Schedule(zone, digest_at=digest_at), start, []
    for _ in range(40):
        following = schedule.next_digest(due)
        gaps.append(following - due)
        due = following

    assert all(timedelta(0) < gap <= timedelta(hours=49) for gap in gaps)
    assert sum(gaps, timedelta()) <= timedelta(days=42)


@pytest.mark.parametrize(
    ("schedule", "instant", "free_at"),
    [
        (night(BERLIN, "22:00", "07:00"), "2026-11-21T23:30+01:00", "2026-11-22T07:00+01:00"),
        (night(BERLIN, "22:00", "07:00"), "2026-11-22T06:59+01:00", "2026-11-22T07:00+01:00"),
        (night(BERLIN, "22:00", "07:00"), "2026-11-22T07:00+01:00", "2026-11-22T07:00+01:00"),
        (night(BERLIN, "12:00", "13:30"), "2026-06-01T12:10+02:00", "2026-06-01T13:30+02:00"),
        # The night that loses an hour, and one whose end the clocks jump over.
        (night(BERLIN, "22:00", "07:00"), "2026-03-28T23:00+01:00", "2026-03-29T07:00+02:00"),
        (night(BERLIN, "22:00", "02:30"), "2026-03-28T23:00+01:00", "2026-03-29T03:00+02:00"),
        # The night that has one hour twice: it ends at the first 02:30, and the second pass is quiet again.
        (night(BERLIN, "22:00", "02:30"), "2026-10-25T01:00+02:00", "2026-10-25T02:30+02:00"),
        (night(BERLIN, "22:00", "02:30"), "2026-10-25T02:10+01:00", "2026-10-25T02:30+01:00"),
        # Half an hour of summer time.
        (night("Australia/Lord_Howe", "22:00", "02:15"), "2026-10-03T15:00+00:00", "2026-10-03T15:30+00:00"),
        # The 30th of December 2011 did not exist in Samoa.
        (night("Pacific/Apia", "22:00", "07:00"), "2011-12-30T09:00+00:00", "2011-12-30T17:00+00:00"),
    ],
)
def test_nights_end_when_the_clock_on_the_wall_says_so(schedule: Schedule, instant: str, free_at: str) -> None:
    assert schedule.quiet_end(at(instant)) == at(free_at)


def test_the_digest_of_a_jumped_over_time_comes_at_the_jump() -> None:
    schedule = Schedule(BERLIN, digest_at=time(2, 30))

    assert schedule.next_digest(at("2026-03-28T12:00+01:00")) == at("2026-03-29T03:00+02:00")
    assert schedule.next_digest(at("2026-03-29T03:00+02:00")) == at("2026-03-30T02:30+02:00")


def test_without_quiet_hours_nothing_waits() -> None:
    now = datetime(2026, 11, 21, 3, tzinfo=ZoneInfo(BERLIN))

    assert Schedule(BERLIN).quiet_end(now) == now


@pytest.mark.parametrize("name", ["", "Berlin", "../etc/passwd", "/etc/localtime", "Europe/../Europe/Berlin", "CEST"])
def test_only_names_of_the_time_zone_database_are_zones(name: str) -> None:
    assert not is_time_zone(name)

"""When an account runs out: the same days give the same answer, and the answer follows what is stated."""

import random
from datetime import UTC, datetime, timedelta

from ledger.domain.forecast import Band, Pool, daily_band, run_out, uncovered_until

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def test_a_steady_spend_runs_out_to_the_hour() -> None:
    band = daily_band([100] * 28)
    assert band == Band(100, 100, 100)

    found = run_out(band, [Pool(1_050, NOW, None)], owed_nano=0, now=NOW)

    assert found.expected == found.earliest == found.latest == NOW + 10.5 * DAY


def test_without_a_whole_day_there_is_no_forecast() -> None:
    assert daily_band([]) is None


def test_a_recent_day_weighs_twice_as_much_as_the_one_a_week_before() -> None:
    # Of eight days the newest weighs 1 and the oldest a half: all on the newest is twice all on the oldest.
    newest, oldest = daily_band([0] * 7 + [1_000_000]), daily_band([1_000_000] + [0] * 7)

    assert newest is not None
    assert oldest is not None
    assert abs(newest.expected - 2 * oldest.expected) <= 2


def test_the_band_holds_the_expected_figure_and_dates_follow_it() -> None:
    draw = random.Random(5)
    for _ in range(300):
        days = [draw.choice([0, draw.randrange(10**12)]) for _ in range(draw.randrange(1, 40))]
        band = daily_band(days)
        assert band is not None
        assert band.low <= band.expected <= band.high
        assert band == daily_band(list(days))
        found = run_out(band, [Pool(draw.randrange(10**13), NOW, None)], owed_nano=0, now=NOW)
        dates = [found.earliest, found.expected, found.latest]
        known = [date for date in dates if date is not None]
        assert known == sorted(known)
        assert dates == sorted(dates, key=lambda date: (date is None, date or NOW))


def test_a_grant_that_expires_is_not_counted_on_longer_than_it_lasts() -> None:
    band, soon = Band(100, 100, 100), Pool(10_000, NOW, NOW + 3 * DAY)

    found = run_out(band, [soon, Pool(200, NOW, None)], owed_nano=0, now=NOW)

    assert found.expected == NOW + 5 * DAY


def test_a_grant_that_begins_later_leaves_a_gap_before_it() -> None:
    found = run_out(Band(100, 100, 100), [Pool(10_000, NOW + 2 * DAY, None)], owed_nano=0, now=NOW)

    assert found.expected == NOW


def test_what_is_owed_is_paid_first() -> None:
    found = run_out(Band(100, 100, 100), [Pool(1_000, NOW, None)], owed_nano=400, now=NOW)

    assert found.expected == NOW + 6 * DAY


def test_overage_is_what_nothing_covers_by_the_periods_end() -> None:
    band = Band(100, 50, 200)

    missing = uncovered_until(band, [Pool(500, NOW, None)], now=NOW, until=NOW + 10 * DAY)

    assert missing == Band(500, 0, 1_500)

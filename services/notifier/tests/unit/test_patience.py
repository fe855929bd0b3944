"""When a delivery is tried again, and when no more."""

from datetime import UTC, datetime, timedelta

from notifier.domain.delivering import Patience


def test_delays_double_up_to_the_longest_and_jitter_takes_away_at_most_half() -> None:
    patience = Patience(first_s=1, most_s=300)

    assert [patience.delay_s(attempts, jitter=0) for attempts in (1, 2, 3, 9, 10, 500)] == [1, 2, 4, 256, 300, 300]
    assert patience.delay_s(3, jitter=1) == 2


def test_what_would_be_tried_after_the_end_is_given_up() -> None:
    patience, created_at = Patience(give_up_after_s=60), datetime(2026, 11, 21, tzinfo=UTC)

    assert not patience.ends(created_at, next_attempt_at=created_at + timedelta(seconds=60))
    assert patience.ends(created_at, next_attempt_at=created_at + timedelta(seconds=61))

"""When a delivery is tried again, and when no more."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.delivering import Patience
from notifier.domain.endpoints import PUSH_DELAYS_S, PushPatience


def test_delays_double_up_to_the_longest_and_jitter_takes_away_at_most_half() -> None:
    patience = Patience(first_s=1, most_s=300)

    assert [patience.delay_s(attempts, jitter=0) for attempts in (1, 2, 3, 9, 10, 500)] == [1, 2, 4, 256, 300, 300]
    assert patience.delay_s(3, jitter=1) == 2


def test_what_would_be_tried_after_the_end_is_given_up() -> None:
    patience, created_at = Patience(give_up_after_s=60), datetime(2026, 11, 21, tzinfo=UTC)

    assert not patience.ends(1, created_at, next_attempt_at=created_at + timedelta(seconds=60))
    assert patience.ends(1, created_at, next_attempt_at=created_at + timedelta(seconds=61))


@given(jitters=st.lists(st.floats(0, 1), min_size=10, max_size=10))
def test_an_endpoint_is_tried_ten_times_within_three_days_however_the_jitter_falls(jitters: list[float]) -> None:
    patience, began = PushPatience(), datetime(2026, 11, 21, tzinfo=UTC)
    now, attempts = began, 1
    while True:
        next_attempt_at = now + timedelta(seconds=patience.delay_s(attempts, jitter=jitters[attempts - 1]))
        if patience.ends(attempts, began, next_attempt_at=next_attempt_at):
            break
        assert next_attempt_at > now
        now, attempts = next_attempt_at, attempts + 1

    assert attempts == len(PUSH_DELAYS_S) + 1 == 10
    assert timedelta(days=2.6) < now - began <= timedelta(days=3)

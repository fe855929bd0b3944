"""What becomes of a notice for one person."""

from datetime import UTC, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.choosing import SEND, Decision, Standing, decide
from notifier.domain.kinds import KINDS, Priority
from notifier.domain.schedules import Schedule

NIGHT = datetime(2026, 11, 21, 23, tzinfo=UTC)
MORNING = datetime(2026, 11, 22, 7, tzinfo=UTC)
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
QUIET = Schedule("UTC", time(22), time(7))


def told(kind: str, standing: Standing, *, now: datetime = NOON) -> Decision:
    return decide(KINDS[kind], standing, now=now, most_per_hour=20)


def test_ordinary_notices_wait_for_the_morning_and_urgent_ones_do_not() -> None:
    standing = Standing(schedule=QUIET)

    assert told("payment-received", standing, now=NIGHT) == Decision(act="hold", at=MORNING)
    assert told("credit-empty", standing, now=NIGHT) == SEND
    assert told("reset-password", standing, now=NIGHT) == SEND
    assert told("payment-received", standing, now=NOON) == SEND


def test_what_is_switched_off_is_not_told_and_what_is_collected_comes_in_the_digest() -> None:
    assert told("credit-low-25", Standing(choice="off")).act == "skip"
    assert told("credit-empty", Standing(choice="off")).act == "skip"
    digest = told("credit-low-25", Standing(choice="digest", schedule=Schedule(digest_at=time(8))))
    assert digest == Decision(act="digest", at=datetime(2026, 11, 22, 8, tzinfo=UTC))


def test_a_digest_that_is_about_to_leave_is_not_added_to() -> None:
    standing, now = Standing(choice="digest"), datetime(2026, 11, 22, 7, 58, tzinfo=UTC)

    assert told("credit-low-25", standing, now=now).at == datetime(2026, 11, 23, 8, tzinfo=UTC)


def test_past_the_limit_of_an_hour_ordinary_notices_are_collected_and_required_ones_go_out() -> None:
    busy = Standing(mails=20)

    assert told("payment-received", busy) == Decision(act="digest", at=datetime(2026, 11, 21, 13, tzinfo=UTC))
    assert told("payment-failed", busy) == SEND
    assert told("calls-refused", busy) == SEND


@pytest.mark.parametrize(
    ("kind", "cause", "act"),
    [
        ("reset-password", "bounce", "skip"),
        ("payment-failed", "bounce", "skip"),
        ("payment-failed", "complaint", "send"),
        ("payment-received", "complaint", "skip"),
    ],
)
def test_a_bounce_ends_all_mails_and_a_complaint_those_that_may_be_left(kind: str, cause: str, act: str) -> None:
    assert told(kind, Standing(suppressed=cause)).act == act


@given(
    kind=st.sampled_from([kind.name for kind in KINDS.values() if not kind.optional]),
    choice=st.sampled_from(["now", "digest", "off"]),
    mails=st.integers(0, 1_000),
    hour=st.integers(0, 23),
)
def test_a_required_notice_is_sent_or_held_whatever_was_chosen(kind: str, choice: str, mails: int, hour: int) -> None:
    standing = Standing(choice=choice, schedule=QUIET, mails=mails)

    decision = told(kind, standing, now=NOON.replace(hour=hour))

    assert decision.act in ("send", "hold")
    if KINDS[kind].priority == Priority.URGENT:
        assert decision == SEND

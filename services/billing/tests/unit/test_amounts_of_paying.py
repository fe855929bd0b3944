"""Shares of periods, gaps that are closed, cents that are carried: never more than there is, never less than is due."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from billing.domain.amounts import NANO_PER_MINOR
from billing.domain.calendar import Span, boundary, span_at, span_before
from billing.domain.catalogue import PlanSpec
from billing.domain.changes import allowance_change, when_of
from billing.domain.collecting import Spent, TopUpRule, due_minor, outcome_of, retry_at, top_up_minor
from billing.domain.dunning import may_bill_overage, told_status
from billing.domain.offers import Purchase, Terms
from billing.domain.paths import OpenPaths, configured_paths
from billing.domain.paying import GraceSpec
from billing.domain.states import Kept

START = datetime(2024, 1, 1, tzinfo=UTC)
INSTANTS = some.integers(0, 6 * 366 * 86_400).map(lambda second: START + timedelta(seconds=second))
AMOUNTS = some.integers(0, 9 * 10**15)
MINORS = some.integers(0, 10**8)


@settings(max_examples=200, deadline=None)
@given(INSTANTS, INSTANTS, some.sampled_from(["month", "year"]))
def test_every_instant_lies_in_the_period_that_is_found_for_it(anchor, later, interval):
    instant = max(anchor, later)
    span = span_at(anchor, instant, interval=interval)

    assert span.starts_at <= instant < span.ends_at
    assert span_at(anchor, span.ends_at, interval=interval).starts_at == span.ends_at


def test_a_period_that_began_on_a_31st_comes_back_to_it():
    anchor = datetime(2026, 1, 31, 9, tzinfo=UTC)

    assert [boundary(anchor, index).day for index in range(4)] == [31, 28, 31, 30]
    assert span_before(datetime(2028, 2, 29, tzinfo=UTC), interval="year").starts_at.day == 28


@settings(max_examples=200, deadline=None)
@given(AMOUNTS, INSTANTS, some.integers(1, 31 * 86_400), some.integers(0, 31 * 86_400))
def test_the_shares_of_a_period_never_add_up_to_more_than_it(amount, starts_at, length_s, cut_s):
    whole = Span(starts_at, starts_at + timedelta(seconds=length_s))
    cut = starts_at + timedelta(seconds=min(cut_s, length_s))
    first, rest = whole.share(amount, Span(starts_at, cut)), whole.share(amount, Span(cut, whole.ends_at))

    assert 0 <= amount - (first + rest) <= 1
    assert whole.share(amount, whole) == amount
    assert whole.share(amount, Span(whole.ends_at, whole.ends_at + timedelta(days=1))) == 0


@settings(max_examples=300, deadline=None)
@given(
    below=some.integers(0, 10**14),
    amount=some.integers(500, 50_000),
    caps=some.tuples(some.integers(1, 10**7), some.integers(1, 10**7)),
    available=some.integers(-(10**14), 10**14),
    spent=some.tuples(some.integers(0, 10**7), some.integers(0, 10**7)),
)
def test_a_top_up_closes_the_gap_within_every_cap_or_does_not_happen(below, amount, caps, available, spent):
    rule = TopUpRule(below, amount, *caps)
    found = top_up_minor(rule, available_nano=available, spent=Spent(*spent), least_minor=500, most_minor=50_000)

    if available > below:
        assert found is None
        return
    room = min(caps[0] - spent[0], caps[1] - spent[1], 50_000)
    if found is None:
        assert room < 500
        return
    assert 500 <= found <= room
    if found < room:
        assert available + found * NANO_PER_MINOR >= below + amount * NANO_PER_MINOR
        assert available + (found - 1) * NANO_PER_MINOR < below + amount * NANO_PER_MINOR


@settings(max_examples=200, deadline=None)
@given(some.lists(some.integers(1, 10**13), max_size=30), some.integers(1, 30))
def test_what_is_collected_in_cents_and_what_is_carried_are_what_was_used(hours, each):
    """However the hours are divided into payments, no nano-credit is lost or paid twice."""
    carry = paid = 0
    for first in range(0, len(hours), each):
        used = sum(hours[first : first + each])
        minor = due_minor(open_nano=used, carry_nano=carry)
        carry = carry + used - minor * NANO_PER_MINOR
        paid += minor

    assert paid * NANO_PER_MINOR + carry == sum(hours)
    assert 0 <= carry < NANO_PER_MINOR


def test_declines_in_a_row_wait_longer_each_time_and_a_success_begins_anew():
    ended = [("declined", START)]
    waits = []
    for count in range(1, 12):
        at = retry_at(ended * count)
        assert at is not None
        waits.append(at - START)

    assert waits[:3] == [timedelta(hours=1), timedelta(hours=2), timedelta(hours=4)]
    assert max(waits) == timedelta(days=3)
    assert retry_at([("succeeded", START), *ended]) is None
    assert retry_at([]) is None


@pytest.mark.parametrize(
    ("status", "failure", "state"),
    [
        ("succeeded", None, "succeeded"),
        ("processing", None, "open"),
        ("requires_action", None, "needs_action"),
        ("requires_payment_method", "authentication_required", "needs_action"),
        ("requires_payment_method", "insufficient_funds", "declined"),
        ("canceled", None, "given_up"),
    ],
)
def test_stripes_state_decides_what_an_attempt_is(status, failure, state):
    assert outcome_of(status, failure) == state


@pytest.mark.parametrize(
    ("days", "passed", "told"), [(None, 30, "past_due"), (3, 2.9, "past_due"), (3, 3, "unpaid"), (0, 0, "unpaid")]
)
def test_past_due_is_borne_as_long_as_the_plan_says(days, passed, told):
    grace = None if days is None else GraceSpec(days=days)
    now = START + timedelta(days=passed)

    assert told_status("past_due", grace=grace, past_due_since=START, now=now) == told
    assert told_status("active", grace=grace, past_due_since=None, now=now) == "active"


def test_overage_in_the_grace_is_the_plans_choice():
    assert may_bill_overage("active", GraceSpec(days=1))
    assert not may_bill_overage("past_due", GraceSpec(days=1))
    assert may_bill_overage("past_due", GraceSpec(days=1, overage=True))
    assert may_bill_overage("past_due", None)


def test_an_accounts_own_flag_says_most_then_the_general_one_then_the_configuration():
    found = OpenPaths(frozenset({"checkout"}), for_all={"checkout": False, "top_up": True}, own={"checkout": True})

    assert found.names() == ("checkout", "top_up")
    assert OpenPaths(frozenset({"checkout"}), for_all={}, own={}).names() == ("checkout",)
    with pytest.raises(ValueError, match="wishes: no such path"):
        configured_paths(["checkout", "wishes"])


def plan(
    price: str, *, credits_text: str = "20", interval: str = "month", offer_id: str = "a", seats: int = 1
) -> Purchase:
    spec = PlanSpec.model_validate(
        {
            "name": "A plan",
            "price": price,
            "interval": interval,
            "allowances": [{"rule": "period", "credits": credits_text}],
            "per_seat": seats > 1,
            "seats": 100,
        }
    )
    return Purchase(Terms(offer_id, 1, "d" * 64, "usd", spec), "usd", seats)


@pytest.mark.parametrize(
    ("old", "new", "when"),
    [
        (plan("20"), plan("40"), "now"),
        (plan("40"), plan("20"), "period_end"),
        (plan("20"), plan("20", credits_text="30"), "now"),
        (plan("20", credits_text="30"), plan("20"), "period_end"),
        (plan("20"), plan("200", interval="year"), "now"),
        (plan("200", interval="year"), plan("20"), None),
        (plan("10", seats=3), plan("10", seats=2), "period_end"),
    ],
)
def test_more_takes_hold_at_once_and_less_when_what_is_paid_is_over(old, new, when):
    assert when_of(old, new) == when


@settings(max_examples=200, deadline=None)
@given(INSTANTS, some.integers(0, 31 * 86_400))
def test_a_change_gives_and_takes_the_same_share(starts_at, passed_s):
    period = Span(starts_at, starts_at + timedelta(days=31))
    found = allowance_change(
        plan("20"),
        plan("40", credits_text="40", offer_id="b"),
        period=period,
        at=starts_at + timedelta(seconds=passed_s),
    )

    assert 0 <= found.given - 2 * found.taken <= 1
    assert found.given <= 40 * 10**9


def test_what_is_kept_until_the_periods_end_survives_stripes_metadata():
    kept = Kept("large", 3, 2, START)

    assert Kept.of({**kept.metadata, "account_id": "x"}) == kept
    assert Kept.of({"account_id": "x"}) is None

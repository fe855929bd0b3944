from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.burning import Burn, Room, Value, burn

MOST = 9 * 10**15
amounts = st.one_of(st.integers(0, 20), st.integers(0, MOST), st.sampled_from((10**14 - 1, 10**14 + 1, 2**53, MOST)))
values = st.builds(Value, tokens=amounts, price_nano=amounts, overage_nano=amounts, requests=st.integers(0, 1))
rooms = st.builds(
    Room,
    requests=st.integers(-2, 2),
    tokens=st.integers(-5, MOST),
    credit_nano=st.integers(-5, MOST),
    overage_nano=st.integers(-5, MOST),
)
most_prices = st.one_of(st.none(), amounts)


def test_tokens_that_cover_all_of_a_call_leave_nothing_to_credits():
    assert burn(Value(100, 999, 50), Room(tokens=100)) == Burn(0, 100, 0, 0, 0)


def test_credits_pay_the_share_that_tokens_do_not_cover_rounded_up():
    """(money.md 20)."""
    assert burn(Value(3, 100, 0), Room(tokens=1, credit_nano=1000)) == Burn(0, 1, 67, 0, 0)


def test_overage_pays_by_the_token_what_neither_tokens_nor_credits_pay():
    """(money.md 20)."""
    assert burn(Value(1000, 77_777, 5_000), Room(tokens=500, overage_nano=10_000)) == Burn(0, 500, 0, 2_500, 0)


def test_what_credits_pay_of_the_rest_is_not_billed_as_overage():
    assert burn(Value(100, 100, 200), Room(tokens=50, credit_nano=10, overage_nano=1000)) == Burn(0, 50, 10, 80, 0)


def test_a_request_unit_covers_a_call_up_to_its_price():
    """(money.md 20)."""
    room = Room(requests=1, tokens=500, credit_nano=1000)

    assert burn(Value(100, 80, 0), room, request_max_price_nano=50) == Burn(1, 0, 30, 0, 0)
    assert burn(Value(100, 80, 0), room) == Burn(1, 0, 0, 0, 0)
    assert burn(Value(100, 80, 0), Room(tokens=500)) == Burn(0, 100, 0, 0, 0)


def test_a_call_without_tokens_is_paid_in_credits():
    assert burn(Value(0, 30, 0), Room(tokens=500, credit_nano=100)) == Burn(0, 0, 30, 0, 0)


@pytest.mark.parametrize("room", [Room(), Room(tokens=-5, credit_nano=-100, overage_nano=-1, requests=-1)])
def test_what_nothing_pays_is_told(room):
    assert burn(Value(10, 30, 40), room) == Burn(0, 0, 0, 0, 30)


def test_overage_at_no_price_needs_overage_room_all_the_same():
    assert burn(Value(10, 30, 0), Room()).unpaid_nano == 30
    assert burn(Value(10, 30, 0), Room(overage_nano=1)).unpaid_nano == 0


@given(values, rooms, most_prices)
def test_no_unit_pays_more_than_its_room_and_nothing_is_negative(value, room, most):
    paid = burn(value, room, request_max_price_nano=most)

    assert min(paid) >= 0
    for used, there in zip(paid[:4], room, strict=True):
        assert used <= max(0, there)
    assert paid.tokens <= value.tokens


@given(values, rooms, most_prices)
def test_the_parts_add_up(value, room, most):
    """(money.md 20): credits pay ceil(P * (T - C) / T), or the overage pays for the same share."""
    paid = burn(value, room, request_max_price_nano=most)

    if paid.requests:
        share = Fraction(max(0, value.price_nano - (value.price_nano if most is None else most)), value.price_nano or 1)
    else:
        share = Fraction(value.tokens - paid.tokens, value.tokens) if value.tokens else Fraction(1)
    due = ceil(value.price_nano * share)
    left = due - paid.credit_nano
    assert paid.credit_nano == max(0, min(due, room.credit_nano))
    if paid.unpaid_nano == 0 and left:
        assert paid.overage_nano == ceil(value.overage_nano * share * Fraction(left, due))
    if room.overage_nano <= 0:
        assert paid.unpaid_nano == left
    assert paid.unpaid_nano <= left


@given(values, rooms, rooms, most_prices)
def test_what_was_held_for_a_dearer_call_pays_a_cheaper_one(value, room, less, most):
    """(money.md 9): an end inside its worst case stays inside its allocation."""
    held = burn(value, room, request_max_price_nano=most)
    if held.unpaid_nano or value.overage_nano == 0:
        return
    cheaper = Value(
        min(value.tokens, max(1, less.tokens)),
        min(value.price_nano, max(0, less.credit_nano)),
        min(value.overage_nano, max(0, less.overage_nano)),
        value.requests,
    )

    paid = burn(cheaper, Room(*held[:4]), request_max_price_nano=most)

    assert paid.unpaid_nano == 0

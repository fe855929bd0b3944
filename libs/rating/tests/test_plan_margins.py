"""What a plan earns at worst: by hand for one model, and never more than any use of it would show."""

from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating import TokenCounts, Usage, charge, parse_book
from rating.margin import SoldUnits, worst_margin
from rating.plan_tokens import PlanWeights, Weight, plan_tokens

AT = datetime(2026, 11, 21, tzinfo=UTC)
BOOK = parse_book(
    (Path(__file__).parents[3] / "services/ledger/src/ledger/price_books/2026-11-21.toml").read_text(), version=1
)
SONNET = "claude-sonnet-4-5"
WEIGHED = (Weight(SONNET, "output", 500), Weight(SONNET, "cache_write_1h", 200))


def pro(**more: object) -> SoldUnits:
    values = {"unit": "token", "amount": 2_000_000, "price_nano": 40 * 10**9, "markup_bps": 1_500}
    return SoldUnits(**{**values, **more})  # type: ignore[arg-type]


def test_the_worst_case_of_tokens_is_the_dearest_class_per_plan_token() -> None:
    (bare,) = worst_margin(pro(), BOOK, at=AT, models=[SONNET])
    (weighed,) = worst_margin(pro(weights=WEIGHED), BOOK, at=AT, models=[SONNET])

    assert weighed.worst_bps is not None
    assert bare.worst_bps is not None
    assert weighed.worst_bps > bare.worst_bps
    assert not weighed.is_loss


def test_overage_below_cost_is_a_loss_though_the_plan_itself_is_not() -> None:
    (margin,) = worst_margin(pro(overage_nano_per_1k_tokens=1_000_000), BOOK, at=AT, models=[SONNET])

    assert margin.is_loss


@pytest.mark.parametrize(("markup", "bps"), [(0, 0), (1_500, 1_304), (10_000, 5_000)])
def test_credits_earn_their_markup(markup: int, bps: int) -> None:
    sold = SoldUnits(unit="credit", amount=10**10, price_nano=10**10, markup_bps=markup)

    assert {one.worst_bps for one in worst_margin(sold, BOOK, at=AT)} == {bps}


def test_a_call_without_a_highest_price_has_no_worst_case() -> None:
    sold = SoldUnits(unit="request", amount=10, price_nano=10**10, markup_bps=0)

    assert all(one.is_loss for one in worst_margin(sold, BOOK, at=AT))
    capped = SoldUnits(unit="request", amount=10, price_nano=10**10, markup_bps=0, request_max_price_nano=5 * 10**8)
    assert {one.worst_bps for one in worst_margin(capped, BOOK, at=AT)} == {5_000}


def test_a_class_that_weighs_nothing_is_given_away_without_bound() -> None:
    (margin,) = worst_margin(pro(weights=(Weight(None, "cache_read", 0),)), BOOK, at=AT, models=[SONNET])

    assert margin.worst_bps is None


counts = st.builds(
    TokenCounts,
    input_tokens=st.integers(0, 10**6),
    cache_write_5m_tokens=st.integers(0, 10**6),
    cache_write_1h_tokens=st.integers(0, 10**6),
    cache_read_tokens=st.integers(0, 10**6),
    output_tokens=st.integers(0, 10**6),
)


@given(counts, st.sampled_from(sorted(BOOK.models)), st.lists(st.integers(1, 900), min_size=5, max_size=5))
def test_no_call_earns_less_than_the_worst_case(used: TokenCounts, model: str, hundredths: list[int]) -> None:
    classes = ("input", "cache_write_5m", "cache_write_1h", "cache_read", "output")
    weights = tuple(Weight(model, name, one) for name, one in zip(classes, hundredths, strict=True))
    (margin,) = worst_margin(pro(weights=weights), BOOK, at=AT, models=[model])
    tokens = plan_tokens(used, model=model, weights=PlanWeights(weights))
    if not tokens:
        return
    assert margin.worst_bps is not None

    cost = charge(BOOK, Usage(counts=used), model=model, at=AT, markup_bps=0).cost_nano
    earned = Fraction(40 * 10**9, 2_000_000) * tokens

    # The cost is rounded up to a nano-credit.
    assert (earned - cost + 1) / earned * 10_000 >= margin.worst_bps

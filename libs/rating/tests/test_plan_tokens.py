import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating import Iteration, TokenCounts, Usage
from rating.plan_tokens import CLASSES, PlanWeights, Weight, overage_of, plan_tokens, plan_tokens_of

MODELS = ("a", "b")
weights_of = st.lists(
    st.builds(
        Weight,
        model=st.sampled_from((None, *MODELS)),
        token_class=st.sampled_from((None, *CLASSES)),
        hundredths=st.integers(0, 100_000),
    ),
    max_size=8,
    unique_by=lambda weight: (weight.model, weight.token_class),
)
counts_of = st.builds(
    TokenCounts,
    **dict.fromkeys(
        ("input_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens", "output_tokens"),
        st.integers(0, 10**9),
    ),
)


def test_without_weights_every_token_counts_once():
    counts = TokenCounts(input_tokens=1, cache_write_5m_tokens=2, cache_read_tokens=4, output_tokens=8)

    assert plan_tokens(counts, model="any", weights=PlanWeights()) == 15


def test_the_most_exact_weight_holds():
    """(money.md 20)."""
    weights = PlanWeights(
        [
            Weight(None, None, 10),
            Weight(None, "output", 20),
            Weight("a", None, 30),
            Weight("a", "output", 40),
        ]
    )

    assert weights.of("a") == (30, 30, 30, 30, 40)
    assert weights.of("b") == (10, 10, 10, 10, 20)


@pytest.mark.parametrize(("tokens", "whole"), [(0, 0), (1, 1), (100, 1), (101, 2)])
def test_fractions_are_rounded_up_once(tokens, whole):
    """(money.md 3, 20)."""
    weights = PlanWeights([Weight(None, None, 1)])
    usage = Usage(
        counts=TokenCounts(input_tokens=tokens // 2),
        iterations=(Iteration("b", TokenCounts(output_tokens=-(-tokens // 2))),),
    )

    assert plan_tokens_of(usage, model="a", weights=weights) == whole


@given(weights_of, st.lists(st.tuples(st.sampled_from(MODELS), counts_of), max_size=4), counts_of)
def test_a_calls_tokens_are_the_sum_of_its_parts_rounded_up_once(entries, iterations, counts):
    """(money.md 20)."""
    weights = PlanWeights(entries)
    usage = Usage(counts=counts, iterations=tuple(Iteration(model, part) for model, part in iterations))

    exact = sum(
        count * weight
        for model, part in [("a", counts), *iterations]
        for count, weight in zip(part.tokens, weights.of(model), strict=True)
    )
    has_tokens = any(any(part.tokens) for part in (counts, *(part for _, part in iterations)))
    assert plan_tokens_of(usage, model="a", weights=weights) == max(-(-exact // 100), int(has_tokens))


def test_a_call_that_weighs_nothing_takes_one_token_so_that_tokens_can_pay_it():
    weights = PlanWeights([Weight("a", None, 0)])

    assert plan_tokens(TokenCounts(input_tokens=500), model="a", weights=weights) == 1
    assert plan_tokens(TokenCounts(), model="a", weights=weights) == 0


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**6))
def test_overage_is_priced_by_the_thousand_or_by_the_book(tokens, price_nano, rate_nano):
    assert overage_of(tokens, price_nano=price_nano, nano_per_1k_tokens=None) == price_nano
    by_rate = overage_of(tokens, price_nano=price_nano, nano_per_1k_tokens=rate_nano)
    assert 0 <= by_rate * 1000 - tokens * rate_nano < 1000

from datetime import UTC, datetime

import pytest

from rating import (
    CacheUse,
    CallBounds,
    IterationBounds,
    QuantityError,
    UnpricedModelError,
    UnpricedOptionError,
    dearest_case,
    price_of,
    worst_case,
)

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def worst_nano(book, model: str, bounds: CallBounds) -> int:
    return worst_case(book, bounds, model=model, at=NOON).nano


@pytest.mark.parametrize(
    ("cache", "unit_nano"), [(CacheUse.NONE, 4_000), (CacheUse.FIVE_MINUTES, 5_000), (CacheUse.ONE_HOUR, 8_000)]
)
def test_input_is_reserved_at_the_dearest_class_that_the_body_allows(book, cache, unit_nano):
    bounds = CallBounds(input_tokens=1_000, max_tokens=100, cache=cache)

    # Output is 100 x 20,000.
    assert worst_nano(book, "claude-opus-5-5", bounds) == 1_000 * unit_nano + 2_000_000


def test_the_hold_carries_the_markup_and_is_rounded_once(book):
    bounds = CallBounds(input_tokens=1, max_tokens=1, inference_geo="us", batch=True)

    cost = worst_case(book, bounds, model="claude-haiku-5-5", at=NOON)

    # (200 + 500) x 1.1 x 0.5 = 385; x 1.15 = 442.75
    assert (cost.nano, price_of(cost, markup_bps=1_500)) == (385, 443)


def test_a_prompt_that_can_reach_the_long_context_tier_reserves_it_for_input_and_output(book):
    below = CallBounds(input_tokens=100_000, max_tokens=10)
    above = CallBounds(input_tokens=100_001, max_tokens=10)

    # 100,000 x 200 + 10 x 500, then 100,001 x 1,000 + 10 x 2,500.
    assert worst_nano(book, "claude-haiku-5-5", below) == 20_005_000
    assert worst_nano(book, "claude-haiku-5-5", above) == 100_026_000


def test_content_of_unknown_size_reserves_the_context_window(book):
    bounds = CallBounds(input_tokens=10, max_tokens=0, has_unknown_content=True)

    # 1,000,000 x 8,000 and 200,000 x 2,000
    assert worst_nano(book, "claude-opus-5-5", bounds) == 8_000_000_000
    assert worst_nano(book, "claude-haiku-4-5", bounds) == 400_000_000


def test_a_body_without_max_tokens_reserves_the_output_limit_of_the_model(book):
    # 128,000 x 20,000
    assert worst_nano(book, "claude-opus-5-5", CallBounds(input_tokens=0)) == 2_560_000_000


def test_fast_mode_and_geography_are_reserved(book):
    bounds = CallBounds(input_tokens=1_000, max_tokens=100, speed="fast", inference_geo="us")

    # (1,000 x 20,000 + 100 x 50,000) x 1.1
    assert worst_nano(book, "claude-opus-5", bounds) == 27_500_000


def test_server_tools_reserve_every_use(book):
    bounds = CallBounds(input_tokens=0, max_tokens=0, web_search_max_uses=5, web_fetch_max_uses=5)

    assert worst_nano(book, "claude-opus-5-5", bounds) == 50_000_000


def test_inner_work_is_reserved_at_its_own_model_for_each_use(book):
    advice = IterationBounds(model="claude-opus-5-5", input_tokens=1_000, max_tokens=100, uses=3)
    bounds = CallBounds(input_tokens=1_000, max_tokens=100, iterations=(advice,))

    # Sonnet 1,000 x 4,000 + 100 x 10,000 = 5,000,000; Opus 3 x (1,000 x 8,000 + 100 x 20,000) = 30,000,000.
    assert worst_nano(book, "claude-sonnet-5-5", bounds) == 35_000_000


def test_the_dearest_model_that_could_serve_is_reserved(book):
    bounds = CallBounds(input_tokens=1_000, max_tokens=100)
    models = ["claude-haiku-4-5", "claude-fable-5-1", "claude-opus-5-5"]

    dearest = dearest_case(book, bounds, models=models, at=NOON)

    assert dearest == worst_case(book, bounds, model="claude-fable-5-1", at=NOON)


@pytest.mark.parametrize("models", [["claude-opus-5-5", "claude-fable-5-2"], []])
def test_a_route_without_a_price_refuses_the_call(book, models):
    with pytest.raises(UnpricedModelError):
        dearest_case(book, CallBounds(input_tokens=1), models=models, at=NOON)


def test_an_option_without_a_price_refuses_the_call(book):
    with pytest.raises(UnpricedOptionError):
        worst_nano(book, "claude-opus-5-5", CallBounds(input_tokens=1, speed="fast"))
    with pytest.raises(UnpricedOptionError):
        worst_nano(book, "claude-opus-5-5", CallBounds(input_tokens=1, inference_geo="moon"))


@pytest.mark.parametrize("field", ["input_tokens", "max_tokens", "web_search_max_uses"])
def test_a_bound_that_is_not_a_bounded_integer_is_refused_by_name(field):
    with pytest.raises(QuantityError, match=field):
        CallBounds(**{"input_tokens": 1, field: -1})

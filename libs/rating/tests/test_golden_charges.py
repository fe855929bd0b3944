"""Charges worked out by hand from the shipped prices; the arithmetic stands beside each.

Amounts are nano-credits: a dollar per million tokens is 1,000 nano-credits per token.
"""

from datetime import UTC, datetime, timedelta

import pytest

from rating import (
    Iteration,
    LineKind,
    PriceBook,
    TokenCounts,
    UnpricedModelError,
    UnpricedOptionError,
    Usage,
    charge,
    cost_of,
    price_of,
)

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
CACHE_READ_FELL = datetime(2026, 10, 7, tzinfo=UTC)


def cost_nano(book: PriceBook, model: str, usage: Usage, *, at: datetime = NOON) -> int:
    return cost_of(book, usage, model=model, at=at).nano


def test_every_class_of_token_is_priced_on_its_own_with_the_markup_on_top(book):
    usage = Usage(
        counts=TokenCounts(
            input_tokens=1_000,
            cache_write_5m_tokens=2_000,
            cache_write_1h_tokens=3_000,
            cache_read_tokens=40_000,
            output_tokens=500,
        )
    )

    charged = charge(book, usage, model="claude-opus-5-5", at=NOON, markup_bps=1_500)

    # 1,000 x 4,000 = 4,000,000; 2,000 x 5,000 = 10,000,000; 3,000 x 8,000 = 24,000,000;
    # 40,000 x 200 = 8,000,000; 500 x 20,000 = 10,000,000: together 56,000,000 ($0.056).
    assert charged.cost_nano == 56_000_000
    # 56,000,000 x 1.15
    assert charged.price_nano == 64_400_000
    assert charged.book_version == 7
    assert [(line.kind, line.amount_numerator) for line in charged.lines] == [
        (LineKind.INPUT, 4_000_000),
        (LineKind.CACHE_WRITE_5M, 10_000_000),
        (LineKind.CACHE_WRITE_1H, 24_000_000),
        (LineKind.CACHE_READ, 8_000_000),
        (LineKind.OUTPUT, 10_000_000),
    ]


def test_cache_reads_cost_what_the_model_says_and_not_a_tenth_of_its_input(book):
    usage = Usage(counts=TokenCounts(cache_read_tokens=1_000_000))

    # $0.25, $1.00, $0.20, $0.50 for a million.
    assert cost_nano(book, "claude-fable-5-1", usage) == 250_000_000
    assert cost_nano(book, "claude-fable-5", usage) == 1_000_000_000
    assert cost_nano(book, "claude-opus-5-5", usage) == 200_000_000
    assert cost_nano(book, "claude-opus-5", usage) == 500_000_000


def test_a_price_changes_at_the_instant_that_the_book_names(book):
    usage = Usage(counts=TokenCounts(cache_read_tokens=10_000, output_tokens=100))
    before = CACHE_READ_FELL - timedelta(microseconds=1)

    # 10,000 x 200 + 100 x 10,000, then 10,000 x 100 + 100 x 10,000.
    assert cost_nano(book, "claude-sonnet-5-5", usage, at=before) == 3_000_000
    assert cost_nano(book, "claude-sonnet-5-5", usage, at=CACHE_READ_FELL) == 2_000_000


def test_a_prompt_at_the_tier_is_still_in_the_lower_one(book):
    usage = Usage(counts=TokenCounts(input_tokens=60_000, cache_read_tokens=40_000, output_tokens=1_000))

    # 60,000 x 100 + 40,000 x 10 + 1,000 x 500 = 6,000,000 + 400,000 + 500,000
    assert cost_nano(book, "claude-haiku-5-5", usage) == 6_900_000


def test_one_token_over_the_tier_reprices_all_tokens_of_the_request(book):
    counts = TokenCounts(
        input_tokens=60_000,
        cache_write_5m_tokens=1,
        cache_read_tokens=40_000,
        output_tokens=1_000,
    )

    # 60,000 x 500 + 1 x 625 + 40,000 x 50 + 1,000 x 2,500 = 30,000,000 + 625 + 2,000,000 + 2,500,000
    assert cost_nano(book, "claude-haiku-5-5", Usage(counts=counts)) == 34_500_625


def test_output_does_not_count_towards_the_prompt_tier(book):
    usage = Usage(counts=TokenCounts(input_tokens=1, output_tokens=120_000))

    # 1 x 100 + 120,000 x 500
    assert cost_nano(book, "claude-haiku-5-5", usage) == 60_000_100


def test_a_batch_costs_half_and_half_a_nano_credit_is_rounded_up_once(book):
    """(money.md 3)."""
    counts = TokenCounts(cache_write_5m_tokens=1, output_tokens=3)

    # 125 + 3 x 500 = 1,625; half is 812.5, as cost 813; 812.5 x 1.15 = 934.375, as price 935.
    # (Rounding the cost first would give 813 x 1.15 = 934.95, which is 935 too; the next test tells them apart.)
    for usage in (Usage(counts=counts, batch=True), Usage(counts=counts, service_tier="batch")):
        charged = charge(book, usage, model="claude-haiku-5-5", at=NOON, markup_bps=1_500)
        assert (charged.cost_nano, charged.price_nano) == (813, 935)


def test_the_price_is_made_of_the_exact_cost_and_not_of_the_rounded_one(book):
    """(money.md 3)."""
    usage = Usage(counts=TokenCounts(cache_write_5m_tokens=1), batch=True)

    charged = charge(book, usage, model="claude-haiku-5-5", at=NOON, markup_bps=10_000)

    # 125 / 2 = 62.5, booked as 63; at 100 % the price is 125, while 2 x 63 would be 126.
    assert (charged.cost_nano, charged.price_nano) == (63, 125)


def test_inference_in_the_us_costs_a_tenth_more_on_every_token(book):
    usage = Usage(counts=TokenCounts(input_tokens=7, cache_read_tokens=3, output_tokens=11), inference_geo="us")

    # 7 x 4,000 + 3 x 200 + 11 x 20,000 = 28,000 + 600 + 220,000 = 248,600; x 1.1 = 273,460; x 1.15 = 314,479
    charged = charge(book, usage, model="claude-opus-5-5", at=NOON, markup_bps=1_500)
    assert (charged.cost_nano, charged.price_nano) == (273_460, 314_479)


@pytest.mark.parametrize("geo", [None, "global", "not_available"])
def test_an_unrestricted_geography_changes_nothing(book, geo):
    usage = Usage(counts=TokenCounts(input_tokens=1), inference_geo=geo)

    assert cost_nano(book, "claude-haiku-4-5", usage) == 1_000


def test_modifiers_multiply(book):
    usage = Usage(counts=TokenCounts(input_tokens=1, cache_read_tokens=1), inference_geo="us", batch=True)

    # 100 + 10 = 110; x 1.1 x 0.5 = 60.5, so 61; 60.5 x 1.15 = 69.575, so 70.
    charged = charge(book, usage, model="claude-haiku-5-5", at=NOON, markup_bps=1_500)
    assert (charged.cost_nano, charged.price_nano) == (61, 70)


@pytest.mark.parametrize("model", ["claude-opus-5", "claude-opus-4-8"])
def test_fast_mode_has_its_own_prices_with_the_cache_classes_on_top(book, model):
    counts = TokenCounts(
        input_tokens=100,
        cache_write_5m_tokens=100,
        cache_write_1h_tokens=100,
        cache_read_tokens=100,
        output_tokens=100,
    )

    # 100 x (10,000 + 12,500 + 20,000 + 1,000 + 50,000), against 100 x (5,000 + 6,250 + 10,000 + 500 + 25,000)
    assert cost_nano(book, model, Usage(counts=counts, speed="fast")) == 9_350_000
    assert cost_nano(book, model, Usage(counts=counts, speed="standard")) == 4_675_000


def test_web_searches_are_charged_per_use_and_not_modified(book):
    counts = TokenCounts(input_tokens=1_000, web_search_requests=3, web_fetch_requests=5)
    usage = Usage(counts=counts, inference_geo="us", batch=True)

    # 1,000 x 2,000 x 1.1 x 0.5 = 1,100,000; 3 x 10,000,000; fetches are free.
    assert cost_nano(book, "claude-sonnet-5-5", usage) == 31_100_000


def test_code_execution_is_free_beside_web_tools_and_priced_alone(book):
    tools = book.server_tools.model_copy(update={"code_execution_nano": 5_000_000})
    priced = book.model_copy(update={"server_tools": tools})
    alone = Usage(counts=TokenCounts(code_execution_requests=2))
    beside = Usage(counts=TokenCounts(code_execution_requests=2, web_fetch_requests=1))

    assert cost_nano(priced, "claude-opus-5-5", alone) == 10_000_000
    assert cost_nano(priced, "claude-opus-5-5", beside) == 0


def test_code_execution_without_a_price_is_refused_alone(book):
    tools = book.server_tools.model_copy(update={"code_execution_nano": None})
    unpriced = book.model_copy(update={"server_tools": tools})

    with pytest.raises(UnpricedOptionError):
        cost_nano(unpriced, "claude-opus-5-5", Usage(counts=TokenCounts(code_execution_requests=1)))


def test_iterations_that_the_top_level_leaves_out_are_charged_at_their_own_model(book):
    usage = Usage(
        counts=TokenCounts(input_tokens=10_000, output_tokens=1_000),
        iterations=(
            Iteration("claude-opus-5-5", TokenCounts(input_tokens=5_000, output_tokens=200)),
            Iteration("claude-sonnet-5-5", TokenCounts(input_tokens=100, output_tokens=50)),
        ),
    )

    # Sonnet 10,000 x 2,000 + 1,000 x 10,000 = 30,000,000; the advisor on Opus 5,000 x 4,000 + 200 x 20,000
    # = 24,000,000; the compaction on Sonnet 100 x 2,000 + 50 x 10,000 = 700,000.
    charged = charge(book, usage, model="claude-sonnet-5-5", at=NOON, markup_bps=1_500)
    assert charged.cost_nano == 54_700_000
    assert charged.price_nano == 62_905_000
    assert [line.model for line in charged.lines[2:4]] == ["claude-opus-5-5", "claude-opus-5-5"]


def test_the_prompt_tier_of_an_iteration_is_its_own(book):
    usage = Usage(
        counts=TokenCounts(input_tokens=99_000),
        iterations=(Iteration("claude-haiku-5-5", TokenCounts(input_tokens=99_000)),),
    )

    # Twice 99,000 x 100: neither prompt is over 100,000.
    assert cost_nano(book, "claude-haiku-5-5", usage) == 19_800_000


def test_an_iteration_follows_the_modifiers_of_its_call_as_far_as_its_model_has_them(book):
    usage = Usage(
        counts=TokenCounts(input_tokens=1),
        iterations=(
            Iteration("claude-opus-5", TokenCounts(input_tokens=1)),
            Iteration("claude-opus-5-5", TokenCounts(input_tokens=1)),
            Iteration("claude-haiku-4-5", TokenCounts(input_tokens=1)),
        ),
        speed="fast",
        inference_geo="us",
    )

    # Opus 5 fast twice: 10,000 x 1.1; Opus 5.5 has no fast mode: 4,000 x 1.1; Haiku 4.5 has neither: 1,000.
    assert cost_nano(book, "claude-opus-5", usage) == 11_000 + 11_000 + 4_400 + 1_000


def test_a_dated_id_is_the_model_that_the_book_says_it_is(book):
    usage = Usage(counts=TokenCounts(input_tokens=1))

    cost = cost_of(book, usage, model="claude-sonnet-4-5-20250929", at=NOON)

    assert cost.nano == 3_000
    assert cost.lines[0].model == "claude-sonnet-4-5"


@pytest.mark.parametrize(
    "model", ["claude-fable-5-2", "claude-mythos-5-2", "claude-opus-5-5-20990101", "claude-opus", "", "gpt-5"]
)
def test_a_model_without_a_price_is_refused_whatever_it_resembles(book, model):
    with pytest.raises(UnpricedModelError):
        cost_nano(book, model, Usage(counts=TokenCounts()))


def test_an_iteration_at_an_unpriced_model_is_refused(book):
    usage = Usage(counts=TokenCounts(), iterations=(Iteration("claude-fable-5-2", TokenCounts()),))

    with pytest.raises(UnpricedModelError):
        cost_nano(book, "claude-opus-5-5", usage)


@pytest.mark.parametrize(
    ("model", "usage"),
    [
        ("claude-opus-5-5", Usage(counts=TokenCounts(), speed="fast")),
        ("claude-opus-5", Usage(counts=TokenCounts(), speed="ludicrous")),
        ("claude-opus-5", Usage(counts=TokenCounts(), inference_geo="eu")),
        ("claude-haiku-4-5", Usage(counts=TokenCounts(), inference_geo="us")),
        ("claude-opus-5", Usage(counts=TokenCounts(), service_tier="platinum")),
    ],
)
def test_an_option_without_a_price_is_refused(book, model, usage):
    with pytest.raises(UnpricedOptionError):
        cost_nano(book, model, usage)


def test_nothing_used_costs_nothing(book):
    charged = charge(book, Usage(counts=TokenCounts()), model="claude-opus-5-5", at=NOON, markup_bps=1_500)

    assert (charged.price_nano, charged.cost_nano, charged.lines) == (0, 0, ())


def test_a_full_call_with_long_context_stays_exact_beyond_fifty_three_bits(book):
    """(money.md 2)."""
    counts = TokenCounts(cache_write_1h_tokens=999_999_999, output_tokens=999_999_999)

    # 999,999,999 x (20,000 + 50,000) x 1.1 x 1.15 = 88,549,999,911,450
    cost = cost_of(book, Usage(counts=counts, inference_geo="us"), model="claude-fable-5-1", at=NOON)
    assert price_of(cost, markup_bps=1_500) == 88_549_999_911_450


def test_an_instant_without_a_time_zone_is_refused(book):
    with pytest.raises(TypeError):
        cost_nano(book, "claude-opus-5-5", Usage(counts=TokenCounts()), at=datetime(2026, 11, 21))  # noqa: DTZ001

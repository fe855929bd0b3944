"""What holds for every usage: checked against exact fractions, computed here in another way."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import ceil

from hypothesis import assume, given
from hypothesis import strategies as st

from rating import (
    CacheUse,
    CallBounds,
    Iteration,
    IterationBounds,
    PriceBook,
    TokenCounts,
    Usage,
    charge,
    cost_of,
    price_of,
    total_of,
    worst_case,
)

CHANGE = datetime(2026, 10, 7, tzinfo=UTC)
MODELS = [
    "claude-fable-5-1",
    "claude-opus-5",
    "claude-opus-5-5",
    "claude-sonnet-5-5",
    "claude-haiku-5-5",
    "claude-haiku-4-5",
]
instants = st.integers(-1_000_000, 1_000_000).map(lambda seconds: CHANGE + timedelta(seconds=seconds))
markups = st.integers(0, 20_000)


@st.composite
def counts_within(draw, *, input_tokens: int, max_tokens: int, cache: CacheUse, searches: int = 0) -> TokenCounts:
    """Any split of a prompt of up to that size over the classes that the cache allows."""
    left = draw(st.integers(0, input_tokens))
    parts = []
    for _ in range(3):
        parts.append(draw(st.integers(0, left)))
        left -= parts[-1]
    read, write_5m, write_1h = parts
    return TokenCounts(
        input_tokens=left,
        cache_read_tokens=read,
        cache_write_5m_tokens=write_5m if cache >= CacheUse.FIVE_MINUTES else 0,
        cache_write_1h_tokens=write_1h if cache >= CacheUse.ONE_HOUR else 0,
        output_tokens=draw(st.integers(0, max_tokens)),
        web_search_requests=draw(st.integers(0, searches)),
        code_execution_requests=draw(st.integers(0, 2)),
    )


@st.composite
def calls(draw) -> tuple[str, CallBounds, Usage]:
    """A model, the bounds of a request to it, and some usage within them."""
    model = draw(st.sampled_from(MODELS))
    geo = draw(st.sampled_from([None] if model == "claude-haiku-4-5" else [None, "us"]))
    speed = draw(st.sampled_from([None, "fast"] if model == "claude-opus-5" else [None]))
    cache, batch = draw(st.sampled_from(CacheUse)), draw(st.booleans())
    size, most = draw(st.integers(0, 300_000)), draw(st.integers(0, 128_000))
    searches = draw(st.integers(0, 4))
    inner_model = draw(st.sampled_from(MODELS))
    inner = IterationBounds(model=inner_model, input_tokens=size, max_tokens=most, uses=draw(st.integers(0, 3)))
    bounds = CallBounds(
        input_tokens=size,
        max_tokens=most,
        cache=cache,
        inference_geo=geo,
        speed=speed,
        batch=batch,
        web_search_max_uses=searches,
        code_execution_max_uses=8,
        iterations=(inner,),
    )
    counts = counts_within(input_tokens=size, max_tokens=most, cache=cache)
    iterations = draw(st.lists(counts, max_size=inner.uses))
    usage = Usage(
        counts=draw(counts_within(input_tokens=size, max_tokens=most, cache=cache, searches=searches)),
        iterations=tuple(Iteration(inner_model, inner_counts) for inner_counts in iterations),
        inference_geo=draw(st.sampled_from([geo, "global"])),
        speed=draw(st.sampled_from([speed, "standard"])),
        batch=batch or draw(st.booleans()),
    )
    return model, bounds, usage


@given(call=calls(), at=instants, markup_bps=markups)
def test_no_usage_within_the_bounds_is_priced_above_the_worst_case(book: PriceBook, call, at, markup_bps):
    model, bounds, usage = call
    tools = book.server_tools.model_copy(update={"code_execution_nano": 5_000_000})
    priced = book.model_copy(update={"server_tools": tools})

    actual = cost_of(priced, usage, model=model, at=at)
    worst = worst_case(priced, bounds, model=model, at=at)

    assert price_of(actual, markup_bps=markup_bps) <= price_of(worst, markup_bps=markup_bps)
    assert actual.nano <= worst.nano


@given(call=calls(), at=instants, markup_bps=markups)
def test_the_sum_without_its_lines_is_the_same_sum(book: PriceBook, call, at, markup_bps):
    model, _, usage = call
    tools = book.server_tools.model_copy(update={"code_execution_nano": 5_000_000})
    priced = book.model_copy(update={"server_tools": tools})

    cost = cost_of(priced, usage, model=model, at=at)
    total = total_of(priced, usage, model=model, at=at)

    assert total.numerator * cost.denominator == cost.numerator * total.denominator
    assert total.nano == cost.nano
    assert price_of(total, markup_bps=markup_bps) == price_of(cost, markup_bps=markup_bps)


@given(call=calls(), at=instants, markup_bps=markups)
def test_price_and_cost_are_each_the_exact_sum_of_the_lines_rounded_up_once(book: PriceBook, call, at, markup_bps):
    """(money.md 3)."""
    model, _, usage = call

    charged = charge(book, usage, model=model, at=at, markup_bps=markup_bps)

    exact = sum((Fraction(line.amount_numerator, line.denominator) for line in charged.lines), Fraction(0))
    assert charged.cost_nano == ceil(exact)
    assert charged.price_nano == ceil(exact * Fraction(10_000 + markup_bps, 10_000))
    assert charged.price_nano >= charged.cost_nano


@given(first=calls(), second=calls(), at=instants)
def test_a_call_split_in_two_costs_the_same_but_for_one_rounding(book: PriceBook, first, second, at):
    model, _, one = first
    other = second[2]
    assume((one.counts.prompt_tokens > 100_000) == (other.counts.prompt_tokens > 100_000))
    assume(one.counts.prompt_tokens > 100_000 or one.counts.prompt_tokens + other.counts.prompt_tokens <= 100_000)
    names = TokenCounts.__slots__
    joined = TokenCounts(**{name: getattr(one.counts, name) + getattr(other.counts, name) for name in names})

    def price_nano(counts: TokenCounts) -> int:
        usage = Usage(counts=counts, batch=True)
        return charge(book, usage, model=model, at=at, markup_bps=1_500).price_nano

    apart = price_nano(one.counts) + price_nano(other.counts)
    assert apart - 1 <= price_nano(joined) <= apart


@given(call=calls(), at=instants, more=st.integers(0, 1_000_000))
def test_a_larger_bound_never_reserves_less(book: PriceBook, call, at, more):
    model, bounds, _ = call
    searches = bounds.web_search_max_uses
    smaller = CallBounds(input_tokens=bounds.input_tokens, max_tokens=10, web_search_max_uses=searches)
    larger = CallBounds(input_tokens=bounds.input_tokens + more, max_tokens=10, web_search_max_uses=searches)

    one, other = (worst_case(book, each, model=model, at=at) for each in (smaller, larger))

    assert not one.exceeds(other)

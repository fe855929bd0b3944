from decimal import Decimal

import pytest

from rating import LineKind, PriceBook, PriceRow

NANO_PER_TOKEN_AT_A_DOLLAR = 1_000
TABLE = """
claude-fable-5-1    10    12.50  20    0.25  50
claude-mythos-5-1   10    12.50  20    0.25  50
claude-fable-5      10    12.50  20    1.00  50
claude-mythos-5     10    12.50  20    1.00  50
claude-opus-5-5     4     5      8     0.20  20
claude-opus-5       5     6.25   10    0.50  25
claude-opus-4-8     5     6.25   10    0.50  25
claude-opus-4-7     5     6.25   10    0.50  25
claude-opus-4-6     5     6.25   10    0.50  25
claude-opus-4-5     5     6.25   10    0.50  25
claude-sonnet-5-5   2     2.50   4     0.10  10
claude-sonnet-5     2     2.50   4     0.20  10
claude-sonnet-4-6   3     3.75   6     0.30  15
claude-sonnet-4-5   3     3.75   6     0.30  15
claude-haiku-5-5    0.10  0.125  0.20  0.01  0.50
claude-haiku-4-5    1     1.25   2     0.10  5
"""
LISTED = {words[0]: tuple(words[1:]) for words in map(str.split, TABLE.strip().splitlines())}
WITHOUT_GEO = {"claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"}


def dollars(row: PriceRow) -> tuple[Decimal, ...]:
    nano = (row.input_nano, row.cache_write_5m_nano, row.cache_write_1h_nano, row.cache_read_nano, row.output_nano)
    return tuple(Decimal(amount) / NANO_PER_TOKEN_AT_A_DOLLAR for amount in nano)


def listed(*texts: str) -> tuple[Decimal, ...]:
    return tuple(map(Decimal, texts))


def rows(book: PriceBook, model: str) -> list[PriceRow]:
    return list(book.models[model].prices)


def test_it_holds_exactly_the_models_that_have_a_listed_price(book):
    assert set(book.models) == set(LISTED)


@pytest.mark.parametrize("model", LISTED)
def test_it_says_what_the_provider_lists_now(book, model):
    base = [row for row in rows(book, model) if row.speed == "standard" and row.above_prompt_tokens == 0]

    assert dollars(base[-1]) == listed(*LISTED[model])


@pytest.mark.parametrize("model", sorted(set(LISTED) - {"claude-opus-5", "claude-opus-4-8"}))
def test_only_two_models_are_sold_fast(book, model):
    assert {row.speed for row in rows(book, model)} == {"standard"}


@pytest.mark.parametrize("model", ["claude-opus-5", "claude-opus-4-8"])
def test_the_fast_prices_are_twice_the_standard_ones(book, model):
    fast = [row for row in rows(book, model) if row.speed == "fast"]

    assert [dollars(row) for row in fast] == [listed("10", "12.50", "20", "1.00", "50")]


def test_the_dearer_tier_of_haiku_begins_above_a_hundred_thousand(book):
    tiers = {row.above_prompt_tokens: dollars(row) for row in rows(book, "claude-haiku-5-5")}

    assert tiers[100_000] == listed("0.50", "0.625", "1.00", "0.05", "2.50")
    assert set(tiers) == {0, 100_000}


def test_the_markup_and_the_modifiers_are_the_listed_ones(book):
    assert book.markup_bps == 1_500
    assert (book.batch.numerator, book.batch.denominator) == (1, 2)
    assert book.server_tools.web_search_nano == 10_000_000
    assert book.server_tools.web_fetch_nano == 0


@pytest.mark.parametrize("model", LISTED)
def test_the_us_surcharge_holds_for_models_since_4_6(book, model):
    ratios = {geo: (ratio.numerator, ratio.denominator) for geo, ratio in book.models[model].inference_geo.items()}

    assert ratios == ({} if model in WITHOUT_GEO else {"us": (11, 10)})


def test_the_first_of_several_rates_is_the_one_of_the_larger_prompt(book):
    tiers = book.rates_for("claude-haiku-5-5").periods["standard"][0].tiers

    assert [tier.above_prompt_tokens for tier in tiers] == [100_000, 0]


def test_line_kinds_are_plain_strings_in_json(book):
    assert f"{LineKind.CACHE_WRITE_1H}" == "cache_write_1h"

import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from rating import PriceBook, PriceBookError, QuantityError, TokenCounts, Usage, cost_of, parse_book

MINIMAL = """
effective_at = 2026-11-21T01:00:00+01:00
currency = "USD"
markup_percent = "12.25"
batch = "0.5"
[server_tools]
web_search = "10"
web_fetch = "0"
[models.a]
also = ["a-1"]
context_window_tokens = 1000
max_output_tokens = 100
prices = [{ input = "1", cache_write_5m = "1.25", cache_write_1h = "2", cache_read = "0.001", output = "5" }]
"""
AT = datetime(2026, 11, 21, tzinfo=UTC)


def test_a_book_survives_its_json_byte_for_byte(book):
    text = book.model_dump_json()
    read = PriceBook.model_validate_json(text)

    assert read == book
    assert read.model_dump_json() == text
    assert PriceBook.model_validate(json.loads(json.dumps(json.loads(text), sort_keys=True))).model_dump_json() == text


def test_amounts_percent_and_zone_are_converted_exactly():
    book = parse_book(MINIMAL, version=1)

    assert book.markup_bps == 1_225
    assert book.models["a"].prices[0].cache_read_nano == 1
    assert book.effective_at == AT
    assert '"effective_at":"2026-11-21T00:00:00Z"' in book.model_dump_json()


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('cache_read = "0.001"', 'cache_read = "0.0001"', "models.a.prices.0.cache_read"),
        ('cache_read = "0.001"', "cache_read = 0.001", "models.a.prices.0.cache_read"),
        ('cache_read = "0.001"', 'cache_read = "-1"', "models.a.prices.0.cache_read"),
        ('cache_read = "0.001"', 'cache_read = "1e3"', "models.a.prices.0.cache_read"),
        ('cache_read = "0.001"', 'cache_read = "NaN"', "models.a.prices.0.cache_read"),
        ('cache_read = "0.001"', 'cache_read = "0"', "cache_read_nano"),
        ('cache_read = "0.001", ', "", "models.a.prices.0.cache_read"),
        ('markup_percent = "12.25"', 'markup_percent = "12.255"', "markup_percent"),
        ('markup_percent = "12.25"\n', "", "markup_percent"),
        ('currency = "USD"', 'currency = "EUR"', "currency"),
        ('batch = "0.5"', 'batch = "0"', "batch"),
        ('web_fetch = "0"', 'web_fetch = "0"\ntelepathy = "1"', "server_tools.telepathy"),
        ("max_output_tokens = 100", "max_output_tokens = 0", "max_output_tokens"),
        ("2026-11-21T01:00:00+01:00", "2026-11-21T01:00:00", "effective_at"),
        ('also = ["a-1"]', 'also = ["a"]', "more than one model goes by a"),
        ("prices = [{", "prices = [{ above_prompt_tokens = 9,", "large prompts"),
        ('output = "5" }', 'output = "5" }, { speed = "warp", input = "1" }', "models.a.prices.1.speed"),
        ("[models.a]", "[models.a", "not TOML"),
    ],
)
def test_a_text_that_is_not_exactly_a_price_book_is_refused_by_field(old, new, named):
    assert old in MINIMAL

    with pytest.raises(PriceBookError, match=named.replace(".", r"\.")):
        parse_book(MINIMAL.replace(old, new), version=1)


def test_two_rows_for_the_same_place_are_refused(book):
    prices = book.models["claude-opus-5-5"]
    doubled = {**prices.model_dump(), "prices": [prices.prices[0].model_dump()] * 2}

    with pytest.raises(ValidationError, match="two price rows"):
        type(prices).model_validate(doubled)


def test_an_unknown_field_in_a_published_book_is_refused_and_not_ignored(book):
    body = json.loads(book.model_dump_json()) | {"surcharge": 2}

    with pytest.raises(ValidationError, match="surcharge"):
        PriceBook.model_validate(body)


def test_a_copy_with_other_prices_does_not_keep_the_old_rates():
    book = parse_book(MINIMAL, version=1)
    usage = Usage(counts=TokenCounts(input_tokens=1))
    assert cost_of(book, usage, model="a", at=AT).nano == 1_000
    dearer = book.models["a"].prices[0].model_copy(update={"input_nano": 9_000})
    models = {"a": book.models["a"].model_copy(update={"prices": (dearer,)})}

    copied = book.model_copy(update={"models": models})

    assert cost_of(copied, usage, model="a", at=AT).nano == 9_000


@pytest.mark.parametrize("quantity", [-1, None, True, 1.0, "1", 1_000_000_001])
def test_a_count_that_is_not_a_bounded_integer_is_refused_by_name(quantity):
    with pytest.raises(QuantityError, match="cache_read_tokens"):
        TokenCounts(cache_read_tokens=quantity)

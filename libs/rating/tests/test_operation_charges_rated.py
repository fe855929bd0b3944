"""Customers' own operations: what the price book says of them, and what they are charged."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating import (
    LineKind,
    PriceBook,
    PriceBookError,
    QuantityError,
    UnpricedOperationError,
    operation_charge,
    parse_book,
)

TEXT = """
effective_at = 2026-11-21T00:00:00Z
currency = "USD"
markup_percent = "15"
batch = "0.5"
[server_tools]
web_search = "10"
web_fetch = "0"
[models.a]
context_window_tokens = 1000
max_output_tokens = 100
prices = [{ input = "1", cache_write_5m = "1.25", cache_write_1h = "2", cache_read = "0.001", output = "5" }]
[operations.image]
unit = "image"
price = "0.04"
cost = "0.03"
[operations.agent_run]
unit = "run"
price = "0.000000001"
"""
BOOK = parse_book(TEXT, version=3)


def test_an_operation_is_charged_per_unit_with_the_markup_and_its_cost_beside():
    charged = operation_charge(BOOK, "image", 3, 1_500)

    assert (charged.price_nano, charged.cost_nano, charged.book_version) == (138_000_000, 90_000_000, 3)
    assert [(line.kind, line.model, line.quantity) for line in charged.lines] == [(LineKind.OPERATION, "image", 3)]


def test_an_operation_without_a_stated_cost_costs_the_operator_nothing():
    assert operation_charge(BOOK, "agent_run", 1_000, 0).cost_nano == 0


@given(quantity=st.integers(0, 1_000_000_000), markup_bps=st.integers(0, 1_000_000))
def test_the_price_is_rounded_up_once_and_never_below_what_the_book_says(quantity, markup_bps):
    exact = quantity * (10_000 + markup_bps)

    assert operation_charge(BOOK, "agent_run", quantity, markup_bps).price_nano == -(-exact // 10_000)


def test_a_name_without_a_price_is_refused_and_never_free():
    with pytest.raises(UnpricedOperationError, match="telepathy"):
        operation_charge(BOOK, "telepathy", 1, 0)


@pytest.mark.parametrize("quantity", [-1, None, True, 1.0, "1", 1_000_000_001])
def test_a_quantity_that_is_not_a_bounded_integer_is_refused(quantity):
    with pytest.raises(QuantityError, match="quantity"):
        operation_charge(BOOK, "image", quantity, 0)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('price = "0.04"', 'price = "0"', "price_nano"),
        ('price = "0.04"', "price = 0.04", "operations.image.price"),
        ('price = "0.04"', 'price = "0.0000000001"', "operations.image.price"),
        ('price = "0.04"\n', "", "operations.image.price"),
        ('cost = "0.03"', 'cost = "-1"', "operations.image.cost"),
        ('unit = "image"', 'unit = "An Image"', "unit"),
        ('unit = "image"\n', "", "operations.image.unit"),
        ("[operations.image]", "[operations.Image]", "operations"),
        ("[operations.image]", "[operations.a]", "an operation and a model go by a"),
        ('unit = "image"', 'unit = "image"\nsurcharge = "1"', "operations.image.surcharge"),
    ],
)
def test_an_entry_that_is_not_exactly_one_is_refused_by_field(old, new, named):
    assert old in TEXT

    with pytest.raises(PriceBookError, match=named.replace(".", r"\.")):
        parse_book(TEXT.replace(old, new, 1), version=1)


def test_operations_travel_with_the_published_book_and_books_from_before_have_none():
    body = json.loads(BOOK.model_dump_json())

    assert list(body["operations"]) == ["agent_run", "image"]
    assert PriceBook.model_validate(body) == BOOK
    del body["operations"]
    assert PriceBook.model_validate(body).operations == {}


def test_the_shipped_book_prices_the_three_examples(book):
    assert {name: price.unit for name, price in book.operations.items()} == {
        "agent_run": "run",
        "generation": "generation",
        "image": "image",
    }

"""How the stand-in reads requests, counts periods and takes its fee."""

from datetime import UTC, datetime

import pytest

from sandbox.stripe.errors import NotDoneError, ParameterError
from sandbox.stripe.forms import flatten, parse
from sandbox.stripe.money import written
from sandbox.stripe.objects.balance import processing_fee_minor
from sandbox.stripe.parameters import Fields, Flag, Integer, ListOf, Metadata, Only, Span, Text, not_done
from sandbox.stripe.periods import boundary
from sandbox.stripe.routes import ROUTES

ITEMS = Fields({"items": ListOf(Fields({"price": Text(), "quantity": Integer()}))})


def test_nested_brackets_become_nested_objects():
    assert parse("a[b][c]=1&a[b][d]=2&e=x%20y") == {"a": {"b": {"c": "1", "d": "2"}}, "e": "x y"}


@pytest.mark.parametrize(
    "form",
    [
        "items[0][price]=p1&items[0][quantity]=1&items[1][price]=p2&items[1][quantity]=2",
        "items[][price]=p1&items[][quantity]=1&items[][price]=p2&items[][quantity]=2",
        "items[7][price]=p2&items[7][quantity]=2&items[3][price]=p1&items[3][quantity]=1",
    ],
)
def test_lists_of_objects_are_read_in_every_spelling(form):
    assert ITEMS.read(parse(form)) == {"items": [{"price": "p1", "quantity": 1}, {"price": "p2", "quantity": 2}]}


def test_a_list_of_words_may_have_empty_brackets():
    assert Fields({"expand": ListOf(Text())}).read(parse("expand[]=a.b&expand[]=c")) == {"expand": ["a.b", "c"]}


@pytest.mark.parametrize(
    "form", ["a[b=1", "a]=1", "[a]=1", "a[b][[c]]=1", "a=1&a[b]=2", "a[b]=2&a=1", "%ff=1", "a=%ff"]
)
def test_a_malformed_form_is_refused(form):
    with pytest.raises(ParameterError):
        parse(form)


def test_the_same_leaves_in_another_order_are_the_same_request():
    assert flatten(parse("b=2&a[y]=1&a[x]=3")) == flatten(parse("a[x]=3&b=2&a[y]=1"))


def test_an_unknown_parameter_is_named_with_its_whole_path():
    with pytest.raises(ParameterError) as refusal:
        ITEMS.read(parse("items[0][colour]=red"))

    assert (refusal.value.code, refusal.value.param) == ("parameter_unknown", "items[0][colour]")


@pytest.mark.parametrize("text", ["1.5", "one", "1e3", "0x10", ""])
def test_what_is_not_an_integer_is_refused(text):
    with pytest.raises(ParameterError) as refusal:
        Integer().read(text, name="amount")

    assert refusal.value.code == "parameter_invalid_integer"


def test_what_stripe_has_and_we_do_not_is_501_and_not_a_bad_request():
    fields = Fields({"enabled": Only(Flag(), False), **not_done("tiers")})

    assert fields.read({"enabled": "false"}) == {"enabled": False}
    with pytest.raises(NotDoneError):
        fields.read({"enabled": "true"})
    with pytest.raises(NotDoneError):
        fields.read({"tiers": "1"})


def test_metadata_has_limits():
    assert Metadata().read({"a": "b", "0": "c"}, name="metadata") == {"a": "b", "0": "c"}
    assert Metadata().read("", name="metadata") is None
    with pytest.raises(ParameterError):
        Metadata().read({"k" * 41: "v"}, name="metadata")
    with pytest.raises(ParameterError):
        Metadata().read({"k": "v" * 501}, name="metadata")


def test_a_span_takes_bounds_or_one_instant():
    assert Span().read({"gte": "5", "lt": "9"}, name="created") == {"gte": 5, "lt": 9}
    assert Span().read("7", name="created") == {"gte": 7, "lte": 7}
    with pytest.raises(ParameterError):
        Span().read({"after": "5"}, name="created")


@pytest.mark.parametrize(("amount", "fee"), [(1000, 59), (2900, 114), (50, 31), (500, 45), (2500, 103), (10_000, 320)])
def test_the_fee_is_29_per_mille_and_30_minor_units(amount, fee):
    assert processing_fee_minor(amount) == fee


def test_a_month_that_is_too_short_does_not_shorten_the_next_one():
    anchor = int(datetime(2027, 1, 31, 8, 30, tzinfo=UTC).timestamp())

    starts = [boundary(anchor, interval="month", interval_count=1, index=index) for index in range(4)]

    days = [datetime.fromtimestamp(start, UTC).strftime("%m-%d %H:%M") for start in starts]
    assert days == ["01-31 08:30", "02-28 08:30", "03-31 08:30", "04-30 08:30"]


def test_a_leap_day_comes_back_after_four_years():
    anchor = int(datetime(2028, 2, 29, tzinfo=UTC).timestamp())

    years = [boundary(anchor, interval="year", interval_count=1, index=index) for index in (1, 4)]

    assert [datetime.fromtimestamp(year, UTC).strftime("%Y-%m-%d") for year in years] == ["2029-02-28", "2032-02-29"]


def test_amounts_are_written_for_people():
    assert written(123456, currency="usd") == "$1,234.56"
    assert written(500, currency="jpy") == "500 JPY"
    assert written(1234, currency="kwd") == "1.234 KWD"


def test_no_two_routes_answer_the_same_address():
    addresses = [(route.method, route.path) for route in ROUTES]

    assert len(addresses) == len(set(addresses))

"""The quick way to read usage events gives what the contract gives, refusals included."""

import random
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from contracts.event import Envelope, UndecodableEventError, decode
from contracts.gateway import UsageRecorded
from ledger.adapters import usage_events
from ledger.adapters.usage_events import decode_usage

BASE: dict[str, Any] = {
    "account_id": "8b36b13b-3f8c-4dbc-b700-9a9c896c0f26",
    "project_id": "d19962d5-ac42-472f-87d9-d2bc9f77ea3a",
    "user_id": None,
    "api_key_id": "af1449d9-e784-4fdf-9628-6730ac907558",
    "gateway_instance": "gateway-1",
    "surface": "/v1/messages",
    "streamed": True,
    "model_asked": "claude-sonnet-4-5",
    "model_served": "claude-sonnet-4-5",
    "route": "anthropic",
    "outcome": "completed",
    "basis": "provider",
    "http_status": 200,
    "counts": {"input_tokens": 1000, "cache_write_5m_tokens": 3, "output_tokens": 7},
    "iterations": [],
    "admitted_at": "2026-11-21T16:57:43.329994Z",
    "first_byte_at": "2026-11-21T16:57:44Z",
    "ended_at": "2026-11-21T16:57:45.000001Z",
    "price_book_version": 1,
    "plan_id": "trial",
    "plan_version": 1,
    "markup_bps": 1500,
    "allocation": [{"slice_id": "af1449d9-e784-4fdf-9628-6730ac907558", "unit": "token", "amount": "123456789012345"}],
    "attempts": 2,
    "client": {"sdk": "python", "session_id": "s"},
    "near_limit": False,
    "from_the_future": [1],
}
ODD: list[Any] = [
    None, 0, 1, -1, 1.0, 1.5, True, False, "", "1", "-1", " 1", "1_0", "x", [], {}, [1], {"a": 1}, [[]], "null", 2**63,
    2**64 - 1, 1e300, "9" * 18, "9" * 19, "9" * 20, "٣", "1.0", "true", "completed", "none", "credit",
    "8B36B13B-3F8C-4DBC-B700-9A9C896C0F26", "8b36b13b3f8c4dbcb7009a9c896c0f26",
    "{8b36b13b-3f8c-4dbc-b700-9a9c896c0f26}",
    "urn:uuid:8b36b13b-3f8c-4dbc-b700-9a9c896c0f26", "8b36b13-b3f8c-4dbc-b700-9a9c896c0f26",
    "--------8b36b13b3f8c4dbcb7009a9c8960",

    "8b36b13b-3f8c-4dbc-b700-9a9c896c0f2g", "2026-11-21T16:57:43.3299945Z", "2026-11-21T16:57:43+02:00",
    "2026-11-21T16:57:43", "2026-11-21 16:57:43Z", "2026-11-21t16:57:43z", "2026-W47-6T16:57:43Z", "2026-11-21T16:57Z",
    "2026-11-21T24:00:00Z", "2026-11-21T23:59:60Z", "2026-02-29T00:00:00Z", "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "2026-11-21T16:57:43,329994Z", 1763744263, "1763744263", "2026-11-21",
]  # fmt: skip


def encoded(data: Any, /, **head: Any) -> bytes:
    envelope = {
        "specversion": "1.0",
        "id": "01a1ff0a-d8a2-7e31-afcd-6998f50e7c09",
        "source": "faregate/gateway",
        "type": UsageRecorded.type,
        "time": "2026-11-21T16:57:43.329994Z",
        "data": data,
    }
    return orjson.dumps({**envelope, **head})


def by_contract(value: bytes) -> Envelope | str:
    try:
        return decode(value, {UsageRecorded.type: UsageRecorded})
    except UndecodableEventError as error:
        return str(error)


def quickly(value: bytes) -> Envelope | str:
    try:
        return decode_usage(value)
    except UndecodableEventError as error:
        return str(error)


def assert_same(value: bytes) -> None:
    expected, found = by_contract(value), quickly(value)
    if isinstance(expected, str) or isinstance(found, str):
        assert found == expected, value
        return
    assert values(found.event) == values(expected.event)
    assert (found.source, found.data, found.digest) == (expected.source, expected.data, expected.digest)


def values(event: Any) -> list[Any]:
    """The event's fields with their classes; ids and instants by value, since their classes are the reader's own."""
    return [(name, typed(getattr(event, name))) for name in UsageRecorded.model_fields]


def typed(value: Any) -> Any:
    if isinstance(value, tuple):
        return [typed(one) for one in value]
    if isinstance(value, UUID | datetime):
        return value
    fields = getattr(value, "__struct_fields__", None) or getattr(type(value), "model_fields", None)
    if fields:
        return [(name, typed(getattr(value, name))) for name in fields]
    return type(value), value


def test_what_gateways_write_is_read_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all of it would be right and nothing of it quick."""
    value = encoded(BASE)
    expected = by_contract(value)
    monkeypatch.setattr(usage_events, "decode", None)

    found = quickly(value)

    assert not isinstance(expected, str)
    assert not isinstance(found, str)
    assert not hasattr(found.event, "model_dump")
    assert values(found.event) == values(expected.event)


@pytest.mark.parametrize("field", sorted({*UsageRecorded.model_fields, "unknown"} - {"id", "time"}))
def test_each_field_left_out_or_odd_is_read_as_the_contract_reads_it(field: str) -> None:
    assert_same(encoded({name: one for name, one in BASE.items() if name != field}))
    for odd in ODD:
        assert_same(encoded({**BASE, field: odd}))


@pytest.mark.parametrize("part", ["counts", "allocation", "client", "iterations", "operation"])
def test_parts_within_parts_are_read_as_the_contract_reads_them(part: str) -> None:
    inner: dict[str, Any] = {
        "counts": {"input_tokens": 1},
        "allocation": {"slice_id": str(uuid4()), "unit": "credit", "amount": "5"},
        "client": {"sdk": "python"},
        "iterations": {"model": "m", "counts": {"output_tokens": 5}},
        "operation": {"name": "o", "quantity": "3", "unit": "page"},
    }[part]
    wrap = (lambda one: [one]) if part in {"allocation", "iterations"} else (lambda one: one)
    assert_same(encoded({**BASE, part: wrap(inner)}))
    for name in [*inner, "unknown"]:
        for odd in ODD:
            assert_same(encoded({**BASE, part: wrap({**inner, name: odd})}))


@pytest.mark.parametrize("field", ["specversion", "id", "source", "type", "time", "data"])
def test_the_envelope_is_read_as_the_contract_reads_it(field: str) -> None:
    for odd in ODD:
        assert_same(encoded(BASE, **{field: odd}))
    whole = orjson.loads(encoded(BASE))
    assert_same(orjson.dumps({name: one for name, one in whole.items() if name != field}))


def test_bytes_that_are_broken_anywhere_are_refused_in_the_contracts_words() -> None:
    value, chance = encoded(BASE), random.Random(5)  # a test's dice
    for _ in range(500):
        at = chance.randrange(len(value))
        assert_same(value[:at] + bytes([chance.randrange(256)]) + value[at + 1 :])
    for at in range(0, len(value), 29):
        assert_same(value[:at])
    for odd in (b"", b"null", b"[]", b"1", b'"x"'):
        assert_same(odd)

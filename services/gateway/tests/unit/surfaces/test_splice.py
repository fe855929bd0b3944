"""Members are written in place: whatever the JSON looks like, nothing else of it changes."""

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ModelApiError
from gateway.surfaces.parsing import parse_object
from gateway.surfaces.splice import members, repeats_a_name, spliced, value_of

NAMES = st.sampled_from(["model", "max_tokens", "stream", "stream_options", 'a"b', "x\\", "é", "{", "nested"])
OURS = st.sampled_from(["model", "max_tokens", "stream", "stream_options", "nested"])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(['"model":1', '{"model":', '\\"}', "[[", "\\"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=6)
INDENTS = st.sampled_from([None, 0, 1, "\t"])


def written(value: object, *, indent: object, ascii_only: bool, escaped: str = "") -> bytes:
    """JSON as some client would write it; `escaped` spells that letter of every name as an escape."""
    separators = (",", ":") if indent is None else (" , ", " : ")
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only, separators=separators)
    if escaped:
        text = text.replace(f'"{escaped}', f'"\\u00{ord(escaped[0]):02x}{escaped[1:]}')
    return text.encode()


@settings(max_examples=150, deadline=None)
@given(OBJECTS, INDENTS, st.booleans())
def test_the_members_are_those_that_a_parser_finds(body: dict[str, object], indent: object, ascii_only):
    raw = written(body, indent=indent, ascii_only=ascii_only)

    found = {member.name: orjson.loads(raw[member.begin : member.end]) for member in members(raw)}

    assert found == orjson.loads(raw)


@settings(max_examples=150, deadline=None)
@given(OBJECTS, INDENTS, st.booleans(), st.dictionaries(OURS, SCALARS, min_size=1, max_size=3), st.booleans())
def test_what_is_spliced_is_what_a_parser_reads_afterwards(
    body: dict[str, object], indent: object, ascii_only, changes: dict[str, object], escapes
):
    raw = written(body, indent=indent, ascii_only=ascii_only, escaped="model" if escapes else "")
    present = orjson.loads(raw)

    out = spliced(raw, {name: orjson.dumps(value) for name, value in changes.items()}, present=present)

    assert orjson.loads(out) == {**present, **orjson.loads(orjson.dumps(changes))}


@settings(max_examples=100, deadline=None)
@given(OBJECTS, INDENTS)
def test_every_other_byte_stays(body: dict[str, object], indent: object):
    raw = written({**body, "model": "before"}, indent=indent, ascii_only=False)

    out = spliced(raw, {"model": b'"after"'}, present=orjson.loads(raw))

    member = next(member for member in members(raw) if member.name == "model")
    assert out == raw[: member.begin] + b'"after"' + raw[member.end :]


def test_a_member_that_is_not_there_is_put_in_front():
    raw = b' {\n "model": "m"}'
    out = spliced(raw, {"stream_options": b'{"include_usage":true}'}, present={"model": "m"})
    assert out == b' {"stream_options":{"include_usage":true},\n "model": "m"}'
    assert spliced(b"{ }", {"a": b"1"}, present={}) == b'{"a":1 }'


def test_a_name_inside_of_a_text_or_an_inner_object_is_not_the_member():
    raw = b'{"messages":[{"model":"x","text":"\\"model\\":\\"y\\""}],"model":"z"}'
    assert spliced(raw, {"model": b'"new"'}, present=orjson.loads(raw)) == raw.replace(b'"z"', b'"new"')
    assert value_of(raw, "model") == b'"z"'
    assert value_of(raw, "max_tokens") is None


DOUBLE = [
    b'{"model":"a","model":"b"}',
    b'{"model":"a","mod\\u0065l":"b"}',
    b'{"model":"a","x":"\\u0022model","model":"b"}',
    b'{"x":[{"speed":1},{"y":{"speed":1,"speed":2}}]}',
    b'{"a":1,"b":"\\\\u0022","a":2}',
    b'{"a":1,"b":"\\\\\\u0022\\u0022","a":2}',
]
SINGLE = [
    b'{"model":"a","x":{"model":"b"}}',
    b'{"x":"\\u0022\\u0022", "y" : 1.50}',
    b'{"x":"\\\\u0022", "y":"\\/"}',
    b'{"x":"\\\\\\u0022\\u0022\\\\\\\\u0022", "y":1}',
    b'{"x":"\\u00e9\\n", "y":"\\"model\\""}',
    b"{}",
]


@pytest.mark.parametrize("raw", DOUBLE)
def test_a_name_given_twice_is_found_however_it_is_spelt(raw: bytes):
    assert repeats_a_name(raw, orjson.loads(raw))
    with pytest.raises(ModelApiError, match="more than once"):
        parse_object(raw)


@pytest.mark.parametrize("raw", SINGLE)
def test_names_given_once_are_taken(raw: bytes):
    assert parse_object(raw) == orjson.loads(raw)


@settings(max_examples=150, deadline=None)
@given(OBJECTS, INDENTS, st.booleans())
def test_no_valid_body_is_refused_for_repetition(body: dict[str, object], indent: object, ascii_only):
    raw = written(body, indent=indent, ascii_only=ascii_only)
    assert parse_object(raw) == orjson.loads(raw)


@settings(max_examples=100, deadline=None)
@given(OBJECTS, NAMES, SCALARS, SCALARS)
def test_no_repetition_is_missed(body: dict[str, object], name: str, one: object, other: object):
    inner = b"{%b:%b,%b:%b}" % (orjson.dumps(name), orjson.dumps(one), orjson.dumps(name), orjson.dumps(other))
    raw = b'{"outer":%b,"body":%b}' % (inner, orjson.dumps(body))
    with pytest.raises(ModelApiError, match="more than once"):
        parse_object(raw)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"a":NaN}', b'"x"', b'{"a":1}x', b"\xff"])
def test_what_is_no_object_is_refused(raw: bytes):
    with pytest.raises(ModelApiError) as refused:
        parse_object(raw)
    assert refused.value.status == 400


def test_a_large_body_with_a_repeated_name_is_refused_without_a_search():
    raw = b'{"a":1,"x":"%b","a":2}' % (b"x" * (1 << 17))
    with pytest.raises(ModelApiError, match="A field of the request body is given more than once"):
        parse_object(raw)


def test_depth_is_refused_not_suffered():
    with pytest.raises(ModelApiError, match="nested too deeply"):
        parse_object(b'{"a":' + b"[" * 500 + b"]" * 500 + b"}")

"""Members of a JSON object written in place: every other byte of the client's body stays as it was.

The text is valid JSON already (the parser has read it) and no name in it is given twice (the parser has refused that),
so a name that occurs once, in quotes, is the member itself wherever it stands. Otherwise the top level is walked.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import orjson

_SPACE: Final = re.compile(rb"[ \t\r\n]*+")
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_SCALAR: Final = re.compile(rb"[^,\]} \t\r\n]++")
# All up to the next bracket, strings included.
_FLAT: Final = re.compile(rb'(?:[^"{}\[\]]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)
# A quote as an escape; behind an even number of backslashes, else it is the text of one.
_ESCAPED_QUOTE: Final = re.compile(rb"(?<!\\)(?:\\\\)*+\\u0022")
_COLON: Final = re.compile(rb"[ \t\r\n]*+:[ \t\r\n]*+")
_QUOTE, _OPEN, _CLOSE, _COMMA = b'"', b"{[", b"}]", b","


class Member(NamedTuple):
    """A member's decoded name, and where its value begins and ends."""

    name: str
    begin: int
    end: int


def spliced(raw: bytes, values: Mapping[str, bytes], *, present: Mapping[str, object]) -> bytes:
    """The object with these members' values replaced, or put in front where it has none.

    `values` are JSON, their names letters and underscores; `present` is the same object as parsed.
    """
    edits: list[tuple[int, int, bytes]] = []
    walked: dict[str, Member] | None = None
    for name, value in values.items():
        if name not in present:
            edits.append(_insertion(raw, name, value, is_empty=not present))
            continue
        place = _lone(raw, name)
        if place is None:
            walked = walked if walked is not None else {member.name: member for member in members(raw)}
            place = walked[name].begin, walked[name].end
        edits.append((*place, value))
    return _edited(raw, edits)


def value_of(raw: bytes, name: str) -> bytes | None:
    """The text of a member's value; the last one where a name is given twice, as parsers read it."""
    found = None
    for member in members(raw):
        if member.name == name:
            found = raw[member.begin : member.end]
    return found


def members(raw: bytes) -> Iterator[Member]:
    """The members of the object that `raw` is, in order, repetitions too."""
    at = _after_space(raw, _after_space(raw, 0) + 1)
    while raw[at : at + 1] == _QUOTE:
        name_end = _string_end(raw, at)
        name = orjson.loads(raw[at:name_end])
        begin = _after_colon(raw, name_end)
        end = _value_end(raw, begin)
        yield Member(name, begin, end)
        at = _after_space(raw, end)
        if raw[at : at + 1] != _COMMA:
            return
        at = _after_space(raw, at + 1)


def repeats_a_name(raw: bytes, parsed: object) -> bool:
    """Whether some object in it gives a name twice, at any depth, however it is escaped.

    A parser keeps one of two members of a name, so the quotes of the other are missing when it is written again.
    Raises `orjson.JSONEncodeError` when it is nested too deeply to be written.
    """
    written = orjson.dumps(parsed)
    if written == raw:
        return False
    quotes = raw.count(b'"')
    if b"\\" in raw and b"\\u0022" in raw:
        quotes += sum(1 for _ in _ESCAPED_QUOTE.finditer(raw))
    return quotes != written.count(b'"')


def _lone(raw: bytes, name: str) -> tuple[int, int] | None:
    """Where the value stands when the name occurs only once in the whole text, and nothing is escaped."""
    quoted = b'"%b"' % name.encode()
    after = raw.find(quoted) + len(quoted)
    if raw.find(quoted, after) >= 0 or (b"\\" in raw and b"\\u" in raw):
        return None
    begin = _after_colon(raw, after)
    return begin, _value_end(raw, begin)


def _insertion(raw: bytes, name: str, value: bytes, *, is_empty: bool) -> tuple[int, int, bytes]:
    at = _after_space(raw, 0) + 1
    return at, at, b'"%b":%b%b' % (name.encode(), value, b"" if is_empty else _COMMA)


def _edited(raw: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    if len(edits) == 1:
        begin, end, value = edits[0]
        return raw[:begin] + value + raw[end:]
    out: list[bytes] = []
    at = 0
    for begin, end, value in sorted(edits):
        out += (raw[at:begin], value)
        at = end
    return b"".join([*out, raw[at:]])


def _value_end(raw: bytes, begin: int) -> int:
    first = raw[begin : begin + 1]
    if first == _QUOTE:
        return _string_end(raw, begin)
    if first not in _OPEN:
        return _matched(_SCALAR, raw, begin)
    depth, at = 1, begin + 1
    while depth:
        at = _matched(_FLAT, raw, at)
        depth += 1 if raw[at] in _OPEN else -1
        at += 1
    return at


def _string_end(raw: bytes, begin: int) -> int:
    return _matched(_STRING, raw, begin)


def _after_space(raw: bytes, at: int) -> int:
    return _matched(_SPACE, raw, at)


def _after_colon(raw: bytes, at: int) -> int:
    return _matched(_COLON, raw, at)


def _matched(pattern: re.Pattern[bytes], raw: bytes, at: int) -> int:
    match = pattern.match(raw, at)
    if match is None:
        raise ValueError("the text is not valid JSON")
    return match.end()

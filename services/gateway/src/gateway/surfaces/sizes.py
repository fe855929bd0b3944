"""How many tokens a text can be, from its bytes alone.

A byte counts half a token if it is an ASCII letter, a space, or part of a character that two or three bytes spell in
most scripts; a whole token if it is a digit, punctuation, JSON's own sign or escape, or leads a character of a script
that vocabularies hardly know (U+0800 to U+1FFF) or of four bytes. English prose comes out at about twice its count.
"""

import string
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

_RARE_LEADS: Final = frozenset({0xE0, 0xE1, *range(0xF0, 0x100)})
_HALF_TOKEN_BYTES: Final = (string.ascii_letters + " ").encode() + bytes(
    byte for byte in range(0x80, 0x100) if byte not in _RARE_LEADS
)


class Weights(NamedTuple):
    """How many bytes count as a token each, and how many as half a token."""

    whole: int
    half: int

    @property
    def tokens(self) -> int:
        """The most that it should be."""
        return self.whole + (self.half + 1) // 2

    @property
    def likely_tokens(self) -> int:
        return self.half // 4 + self.whole // 2

    def less(self, whole: int, half: int) -> "Weights":
        return Weights(self.whole - whole, self.half - half)


def weights_of(text: bytes) -> Weights:
    whole = len(text.translate(None, _HALF_TOKEN_BYTES))
    return Weights(whole, len(text) - whole)


def plain_tokens(raw: bytes, body: Mapping[str, Any]) -> tuple[int, int]:
    """`tokens` and `likely_tokens` of a body's `Weights`."""
    if b"\\" in raw and b"\\u" in raw:
        raw = orjson.dumps(body)
    whole = len(raw.translate(None, _HALF_TOKEN_BYTES))
    half = len(raw) - whole
    return whole + (half + 1) // 2, half // 4 + whole // 2


def body_weights(raw: bytes, body: Mapping[str, Any]) -> Weights:
    """Those of a whole body; a client that spells all but ASCII as escapes sends three times the bytes of its text."""
    if b"\\" in raw and b"\\u" in raw:
        return weights_of(orjson.dumps(body))
    return weights_of(raw)

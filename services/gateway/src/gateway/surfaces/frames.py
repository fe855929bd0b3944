"""Server-sent events cut out of a stream of bytes, wherever the network split it."""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

MOST_HELD_BYTES: Final = 4 << 20
_END: Final = re.compile(rb"\r?\n\r?\n")
_LOOK_BACK: Final = 3
_MARK: Final = b"\xef\xbb\xbf"
_ORDINARY_LINES: Final = 3
# A named tuple's own constructor is written in Python; a read may hold hundreds of events.
_new: Final = tuple.__new__


class Piece(NamedTuple):
    """An event with its blank line, or a part of one that is too large to hold (`whole` is false)."""

    data: bytes
    whole: bool


class FrameCutter:
    """Gives bytes back event by event; an event that is not complete stays here, up to a bound.

    A client cannot use a part of an event, so nothing is late; and what we add ourselves always stands between events.
    """

    __slots__ = ("_most_held_bytes", "_searched", "inside_large", "pending")

    def __init__(self, *, most_held_bytes: int = MOST_HELD_BYTES) -> None:
        self._most_held_bytes = most_held_bytes
        self._searched = 0
        self.pending = b""
        self.inside_large = False

    def feed(self, chunk: bytes) -> list[Piece]:
        buffer = self.pending + chunk if self.pending else chunk
        pieces: list[Piece] = []
        start = 0
        for end in _ends_in(buffer, self._searched):
            pieces.append(_new(Piece, (buffer[start:end], not self.inside_large)))
            self.inside_large = False
            start = end
        rest = buffer[start:] if start else buffer
        if len(rest) > self._most_held_bytes:
            pieces.append(Piece(rest[:-_LOOK_BACK], whole=False))
            rest, self.inside_large = rest[-_LOOK_BACK:], True
        self.pending = rest
        self._searched = max(0, len(rest) - _LOOK_BACK)
        return pieces


def _ends_in(buffer: bytes, begin: int) -> list[int]:
    """Where events end."""
    if b"\r" in buffer:
        return [match.end() for match in _END.finditer(buffer, begin)]
    ends: list[int] = []
    at = buffer.find(b"\n\n", begin)
    while at >= 0:
        ends.append(at + 2)
        at = buffer.find(b"\n\n", at + 2)
    return ends


def event_name(frame: bytes) -> bytes:
    """What a whole event is called: its last `event:` line, else the `type` in its JSON."""
    if frame.startswith(b"event:") and frame.count(b"event:") == 1:
        return frame[6 : frame.index(b"\n")].strip()
    name = b""
    for line in frame.removeprefix(_MARK).splitlines():
        if line.startswith(b"event:"):
            name = line[6:].strip()
    return name or str(payload_of(frame).get("type", "")).encode()


def payload_of(frame: bytes) -> Mapping[str, Any]:
    """The JSON object of an event, empty when it has none."""
    try:
        payload = orjson.loads(data_of(frame))
    except orjson.JSONDecodeError:
        return {}
    return payload if isinstance(payload, dict) else {}


def data_of(frame: bytes) -> bytes:
    if frame.startswith(b"event: ") and frame.count(b"\n") == _ORDINARY_LINES and b"\r" not in frame:
        # A name, one line of data and the blank line, as nearly all have it.
        name_end = frame.index(b"\n") + 1
        if frame.startswith(b"data: ", name_end):
            return frame[name_end + len(b"data: ") : -2]
    lines = frame.removeprefix(_MARK).splitlines()
    return b"\n".join([line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")])

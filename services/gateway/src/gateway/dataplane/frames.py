"""Server-sent events cut out of a stream of bytes, wherever the network split it."""

import re
from typing import Final, NamedTuple

MOST_HELD_BYTES: Final = 4 << 20
_END: Final = re.compile(rb"\r?\n\r?\n")
_LOOK_BACK: Final = 3


class Piece(NamedTuple):
    """An event with its blank line, or a part of one that is too large to hold (`whole` is false)."""

    data: bytes
    whole: bool


class FrameCutter:
    """Gives bytes back event by event; an event that is not complete stays here, up to a bound.

    A client cannot use a part of an event, so nothing is late; and what we add ourselves always stands between events.
    """

    def __init__(self, *, most_held_bytes: int = MOST_HELD_BYTES) -> None:
        self._most_held_bytes = most_held_bytes
        self._searched = 0
        self.pending = b""
        self.inside_large = False

    def feed(self, chunk: bytes) -> list[Piece]:
        buffer = self.pending + chunk if self.pending else chunk
        pieces: list[Piece] = []
        start = 0
        for match in _END.finditer(buffer, self._searched):
            pieces.append(Piece(buffer[start : match.end()], not self.inside_large))
            self.inside_large = False
            start = match.end()
        rest = buffer[start:] if start else buffer
        if len(rest) > self._most_held_bytes:
            pieces.append(Piece(rest[:-_LOOK_BACK], whole=False))
            rest, self.inside_large = rest[-_LOOK_BACK:], True
        self.pending = rest
        self._searched = max(0, len(rest) - _LOOK_BACK)
        return pieces

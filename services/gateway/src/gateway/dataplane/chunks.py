"""Takes chunked coding apart, as strictly as the head is read."""

import re
from typing import Final

from gateway.dataplane.framing import FramingError, bad

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_SIZE_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,8})((?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb'|"[\t !#-\[\]-~]*+"))?+)*+)'
)
_TRAILER: Final = re.compile(rb"(" + _TOKEN + rb"):[\t\x20-\x7e\x80-\xff]*+")
_LONGEST_LINE: Final = 8 + 64
_MOST_CHUNKS: Final = 1 << 17
_MOST_PIECES: Final = 64
_MOST_TRAILER_BYTES: Final = 4096
# What changes how a message is read or who sent it may only stand in its head.
_NOT_IN_TRAILERS: Final = frozenset({
    b"content-length", b"transfer-encoding", b"host", b"connection", b"content-encoding", b"content-type", b"trailer",
    b"te", b"upgrade", b"expect", b"authorization", b"x-api-key", b"cookie", b"content_length", b"transfer_encoding",
})  # fmt: skip


class Parts:
    """A body as it came, in few pieces: a thousand objects of one byte each would weigh forty times as much."""

    __slots__ = ("_begun", "_recent")

    def __init__(self) -> None:
        self._begun = bytearray()
        self._recent: list[bytes] = []

    def add(self, part: bytes) -> None:
        self._recent.append(part)
        if len(self._recent) > _MOST_PIECES:
            self._begun += b"".join(self._recent)
            self._recent.clear()

    def whole(self) -> bytes:
        if not self._begun:
            return self._recent[0] if len(self._recent) == 1 else b"".join(self._recent)
        return b"".join((self._begun, *self._recent))


class ChunkedBody:
    """Fed with bytes until `complete`; trailers are checked and dropped."""

    __slots__ = ("_buffer", "_chunks", "_in_chunk", "_in_trailers", "_left", "complete", "parts", "size")

    def __init__(self) -> None:
        self.parts = Parts()
        self.size = 0
        self.complete = False
        self._buffer = b""
        self._left = 0
        self._in_chunk = False
        self._in_trailers = False
        self._chunks = 0

    def feed(self, data: bytes, *, most_bytes: int) -> bytes:
        """Take in `data`; what is behind the body's end comes back. Raises `FramingError`."""
        buffer = self._buffer + data if self._buffer else data
        at = 0
        while not self.complete:
            if self._in_trailers:
                after = self._trailers(buffer, at)
            elif self._in_chunk:
                after = self._content(buffer, at)
            else:
                after = self._size_line(buffer, at, most_bytes=most_bytes)
            if after is None:
                break
            at = after
        rest = buffer[at:]
        if self.complete:
            self._buffer = b""
            return rest
        self._buffer = rest
        return b""

    def _size_line(self, buffer: bytes, at: int, *, most_bytes: int) -> int | None:
        end = buffer.find(b"\r\n", at, at + _LONGEST_LINE + 2)
        if end < 0:
            _check_unfinished(buffer[at : at + _LONGEST_LINE + 2])
            return None
        found = _SIZE_LINE.fullmatch(buffer, at, end)
        if found is None:
            bad("A chunk's size is malformed")
        size = int(found[1], 16)
        if self.size + size > most_bytes:
            raise FramingError(413, f"Request exceeds the maximum size of {most_bytes} bytes")
        self._chunks += 1
        if self._chunks > _MOST_CHUNKS:
            raise FramingError(413, f"The body comes in more than {_MOST_CHUNKS} chunks")
        self._left = size
        self._in_chunk = size > 0
        self._in_trailers = size == 0
        return end + 2

    def _content(self, buffer: bytes, at: int) -> int | None:
        if self._left:
            part = buffer[at : at + self._left]
            if not part:
                return None
            self.parts.add(part)
            self.size += len(part)
            self._left -= len(part)
            return at + len(part)
        ending = buffer[at : at + 2]
        if not b"\r\n".startswith(ending):
            bad("A chunk is longer than its size says")
        if len(ending) < 2:
            return None
        self._in_chunk = False
        return at + 2

    def _trailers(self, buffer: bytes, at: int) -> int | None:
        if buffer.startswith(b"\r\n", at):
            self.complete = True
            return at + 2
        end = buffer.find(b"\r\n\r\n", at)
        if end < 0:
            if len(buffer) - at > _MOST_TRAILER_BYTES or _hopeless(buffer[at:]):
                bad("The trailers are malformed or too large")
            return None
        if end - at > _MOST_TRAILER_BYTES:
            bad("The trailers are too large")
        for line in buffer[at:end].split(b"\r\n"):
            _check_trailer(line)
        self.complete = True
        return end + 4


def _check_trailer(line: bytes) -> None:
    found = _TRAILER.fullmatch(line)
    if found is None:
        bad("A trailer is malformed")
    if found[1].lower() in _NOT_IN_TRAILERS:
        bad("A trailer must not frame or authorise the message")


def _check_unfinished(line: bytes) -> None:
    if len(line) > _LONGEST_LINE:
        bad("A chunk's size line is too long")
    if _hopeless(line) or (line and _SIZE_LINE.match(line) is None):
        bad("A chunk's size is malformed")


def _hopeless(seen: bytes) -> bool:
    return re.search(rb"(?<!\r)\n|\r[^\n]|\x00", seen) is not None

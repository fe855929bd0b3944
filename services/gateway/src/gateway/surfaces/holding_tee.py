"""What the tees of all streams share: bytes pass event by event, and from the event that ends the stream they stay."""

import re
from abc import abstractmethod
from typing import ClassVar, Final

from gateway.surfaces.frames import FrameCutter
from gateway.surfaces.types import Terminal
from gateway.usage.seen import UsageSeen

_BYTES_PER_TOKEN: Final = 4


class HoldingTee:
    """See `types.StreamTee`. A surface says how its common event begins, and reads events one by one.

    Most reads hold exactly one such event: `common_lines` line ends, no more, are one however its text reads. A fast
    provider sends many of them at once: `common_run` matches several, where a surface can count them together.
    """

    __slots__ = ("_bytes", "_cutter", "_events", "_held", "error_type", "has_content", "seen", "terminal")

    common_start: ClassVar[bytes]
    common_lines: ClassVar[int]
    common_run: ClassVar[re.Pattern[bytes] | None] = None

    def __init__(self) -> None:
        self.seen = UsageSeen()
        self.terminal: Terminal | None = None
        self.error_type: str | None = None
        self.has_content = False
        self._cutter = FrameCutter()
        self._held: list[bytes] = []
        self._events = 0
        self._bytes = 0

    @abstractmethod
    def _common(self, frame: bytes) -> bool:
        """Count an event that begins as most do; false when it has to be read."""

    def _common_run(self, frames: bytes) -> bool:
        """Count several events of that kind at once; false when they have to be read one by one."""
        return False

    @abstractmethod
    def _read(self, frame: bytes) -> bool:
        """Read any other event; false when it is not for the client."""

    def feed(self, data: bytes) -> bytes:
        if (
            data.startswith(self.common_start)
            and data.endswith(b"\n\n")
            and data.count(b"\n") == self.common_lines
            and not self._cutter.pending
            and self.terminal is None
            and not self._cutter.inside_large
            and self._common(data)
        ):
            return data
        if self.common_run is not None and not self._cutter.pending:
            return self._feed_run(data, self.common_run)
        return self._feed_pieces(data)

    @property
    def between_events(self) -> bool:
        return not self._cutter.inside_large

    @property
    def held_bytes(self) -> int:
        return sum(map(len, self._held))

    @property
    def delivered_tokens(self) -> int:
        return max(self._events, self._bytes // _BYTES_PER_TOKEN)

    def rest(self) -> bytes:
        return b"".join(self._held) + self._cutter.pending

    def _feed_run(self, data: bytes, run: re.Pattern[bytes]) -> bytes:
        """The first run of common events in one step, what stands before and behind it piece by piece."""
        begin = 0 if data.startswith(self.common_start) else data.find(b"\n\n" + self.common_start) + 2
        found = run.match(data, begin)
        if found is None or begin == 1 or b"\r" in data:
            return self._feed_pieces(data)
        before = self._feed_pieces(data[:begin]) if begin else b""
        is_cut = self._cutter.pending or self._cutter.inside_large or self.terminal is not None
        if is_cut or not self._common_run(found[0]):
            return before + self._feed_pieces(data[begin:])
        return b"".join((before, found[0], self._feed_pieces(data[found.end() :])))

    def _feed_pieces(self, data: bytes) -> bytes:
        out: list[bytes] = []
        start, lines = self.common_start, self.common_lines
        for piece, whole in self._cutter.feed(data):
            if self.terminal is None:
                if not whole:
                    # Only what carries content can be so large.
                    self.has_content = True
                    self._bytes += len(piece)
                # The same count as a read of its own gives, so that it hangs on no split.
                elif piece.startswith(start) and piece.count(b"\n") == lines and self._common(piece):
                    pass
                elif not self._read(piece):
                    continue
            (out if self.terminal is None else self._held).append(piece)
        return out[0] if len(out) == 1 else b"".join(out)

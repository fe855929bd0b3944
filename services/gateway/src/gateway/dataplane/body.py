"""Collects one request's body, by length or chunk by chunk, and knows when its sender is too slow."""

from gateway.dataplane.chunks import ChunkedBody, Parts
from gateway.dataplane.framing import CHUNKED


class BodyReader:
    """Fed with bytes until `complete`."""

    __slots__ = ("_chunked", "_missing", "_most_bytes", "_parts", "began", "complete", "heard", "received")

    def __init__(self, length: int, *, most_bytes: int, now: float) -> None:
        self._chunked = ChunkedBody() if length == CHUNKED else None
        self._missing = length
        self._most_bytes = most_bytes
        self._parts = Parts()
        self.complete = False
        self.received = 0
        self.began = self.heard = now

    def feed(self, data: bytes, *, now: float) -> bytes:
        """Take in `data`; what is behind the body's end comes back. Raises `FramingError`."""
        self.heard = now
        self.received += len(data)
        if self._chunked is not None:
            rest = self._chunked.feed(data, most_bytes=self._most_bytes)
            self.complete = self._chunked.complete
            return rest
        part = data[: self._missing] if len(data) > self._missing else data
        self._parts.add(part)
        self._missing -= len(part)
        self.complete = self._missing == 0
        return data[len(part) :]

    def whole(self) -> bytes:
        return (self._parts if self._chunked is None else self._chunked.parts).whole()

    def complaint(self, now: float, *, silence_s: float, grace_s: float, bytes_per_s: int) -> str | None:
        """Why waiting any longer is pointless."""
        if now - self.heard > silence_s:
            return f"No byte of the request's body came for {silence_s:g} s"
        elapsed_s = now - self.began
        if elapsed_s > grace_s and self.received < (elapsed_s - grace_s) * bytes_per_s:
            return f"The request's body comes slower than {bytes_per_s} bytes per second"
        return None

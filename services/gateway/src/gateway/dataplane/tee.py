"""The tee: bytes pass unchanged, usage is read on the way, the ending is held back."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import orjson

from gateway.dataplane.frames import FrameCutter, Piece
from gateway.usage.seen import UsageSeen

Terminal = Literal["stop", "error"]

_BYTES_PER_TOKEN: Final = 4
# `event: content_block_delta`, its JSON without the text, the padding that the provider adds, and the blank line.
_DELTA_OVERHEAD_BYTES: Final = 118
_PARSED: Final = frozenset({b"message_start", b"message_delta", b"message_stop", b"error"})


class StreamTee:
    """Reads the usage of one streamed answer; `feed` returns what may go out at once.

    The event that ends the stream (`message_stop` or `error`) and all behind it is kept until `rest` is asked for.
    """

    def __init__(self) -> None:
        self.seen = UsageSeen()
        self.terminal: Terminal | None = None
        self.error_type: str | None = None
        self.has_content = False
        self._cutter = FrameCutter()
        self._held: list[bytes] = []
        self._deltas = 0
        self._delta_bytes = 0

    def feed(self, chunk: bytes) -> bytes:
        out: list[bytes] = []
        for piece in self._cutter.feed(chunk):
            if self.terminal is None and piece.whole:
                self._read(piece.data)
            elif self.terminal is None:
                self._count_large(piece)
            (out if self.terminal is None else self._held).append(piece.data)
        return b"".join(out)

    @property
    def between_events(self) -> bool:
        """Whether what has gone out ends with an event; otherwise nothing of ours can follow it."""
        return not self._cutter.inside_large

    @property
    def held_bytes(self) -> int:
        return sum(map(len, self._held))

    @property
    def delivered_tokens(self) -> int:
        """Output as estimated from what was delivered: for calls without a final count."""
        return max(self._deltas, self._delta_bytes // _BYTES_PER_TOKEN)

    def rest(self) -> bytes:
        """The ending, once it may go out."""
        return b"".join(self._held) + self._cutter.pending

    def _count_large(self, piece: Piece) -> None:
        self.has_content = True
        self._delta_bytes += len(piece.data)

    def _read(self, frame: bytes) -> None:
        name = _event_name(frame)
        if name == b"content_block_delta":
            self.has_content = True
            if b'"signature_delta"' not in frame:
                self._deltas += 1
                self._delta_bytes += max(0, len(frame) - _DELTA_OVERHEAD_BYTES)
        elif name == b"content_block_start":
            # Text and thinking start empty; the result of a server tool comes whole.
            self.has_content = self.has_content or b"_tool_result" in frame
        elif name in _PARSED:
            self._read_parsed(name, _payload(frame))

    def _read_parsed(self, name: bytes, payload: Mapping[str, Any]) -> None:
        if name == b"message_start" and isinstance(message := payload.get("message"), Mapping):
            self.seen.message(message)
        elif name == b"message_delta":
            if isinstance(delta := payload.get("delta"), Mapping):
                self.seen.stopped(delta)
            self.seen.usage(payload.get("usage"))
        elif name == b"message_stop":
            self.terminal = "stop"
        elif name == b"error":
            self.terminal = "error"
            error = payload.get("error")
            kind = error.get("type") if isinstance(error, Mapping) else None
            self.error_type = kind if isinstance(kind, str) else "api_error"


class MessageTee:
    """Reads the usage of an answer that is not streamed."""

    def __init__(self, body: bytes) -> None:
        self.seen = UsageSeen()
        self.has_content = False
        self.is_message = False
        try:
            message = orjson.loads(body)
        except orjson.JSONDecodeError:
            return
        if isinstance(message, dict) and message.get("type") == "message":
            self.is_message = isinstance(message.get("usage"), dict)
            self.has_content = bool(message.get("content"))
            self.seen.message(message)


def _event_name(frame: bytes) -> bytes:
    """The last `event:` line's value; an event without one is named by the `type` in its JSON."""
    name = b""
    if not frame.startswith(b"event:"):
        for line in frame.splitlines():
            if line.startswith(b"event:"):
                name = line[6:].strip()
        return name or str(_payload(frame).get("type", "")).encode()
    return frame[6 : frame.index(b"\n")].strip()


def _payload(frame: bytes) -> Mapping[str, Any]:
    lines = [line[5:].removeprefix(b" ") for line in frame.splitlines() if line.startswith(b"data:")]
    try:
        payload = orjson.loads(b"\n".join(lines))
    except orjson.JSONDecodeError:
        return {}
    return payload if isinstance(payload, dict) else {}

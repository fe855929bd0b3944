"""The tee of `/v1/messages`: bytes pass unchanged, usage is read on the way, the ending is held back."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from gateway.surfaces.frames import FrameCutter, event_name, payload_of
from gateway.surfaces.types import Terminal
from gateway.usage.seen import UsageSeen

_BYTES_PER_TOKEN: Final = 4
# `event: content_block_delta`, its JSON without the text, the padding that the provider adds, and the blank line.
_DELTA_OVERHEAD_BYTES: Final = 118
_DELTA: Final = b"event: content_block_delta\ndata: "
_DELTA_LINES: Final = 3
_SIGNATURE: Final = b'"signature_delta"'
_PARSED: Final = frozenset({b"message_start", b"message_delta", b"message_stop", b"error"})


class AnthropicStreamTee:
    """See `types.StreamTee`; the event that ends the stream is `message_stop` or `error`."""

    __slots__ = ("_cutter", "_delta_bytes", "_deltas", "_held", "error_type", "has_content", "seen", "terminal")

    def __init__(self) -> None:
        self.seen = UsageSeen()
        self.terminal: Terminal | None = None
        self.error_type: str | None = None
        self.has_content = False
        self._cutter = FrameCutter()
        self._held: list[bytes] = []
        self._deltas = 0
        self._delta_bytes = 0

    def feed(self, data: bytes) -> bytes:
        # Most reads hold exactly one delta: three line ends, no more, are one event however its text reads.
        if (
            data.startswith(_DELTA)
            and data.endswith(b"\n\n")
            and data.count(b"\n") == _DELTA_LINES
            and not self._cutter.pending
            and self.terminal is None
            and not self._cutter.inside_large
        ):
            self._delta(data)
            return data
        return self._feed_pieces(data)

    @property
    def between_events(self) -> bool:
        return not self._cutter.inside_large

    @property
    def held_bytes(self) -> int:
        return sum(map(len, self._held))

    @property
    def delivered_tokens(self) -> int:
        return max(self._deltas, self._delta_bytes // _BYTES_PER_TOKEN)

    def rest(self) -> bytes:
        return b"".join(self._held) + self._cutter.pending

    def _feed_pieces(self, data: bytes) -> bytes:
        out: list[bytes] = []
        for piece, whole in self._cutter.feed(data):
            if self.terminal is None:
                if whole and piece.startswith(_DELTA) and piece.count(b"\n") == _DELTA_LINES:
                    self._delta(piece)
                elif whole:
                    self._read(piece)
                else:
                    # Only what carries content can be so large.
                    self.has_content = True
                    self._delta_bytes += len(piece)
            (out if self.terminal is None else self._held).append(piece)
        return out[0] if len(out) == 1 else b"".join(out)

    def _delta(self, frame: bytes) -> None:
        self.has_content = True
        if _SIGNATURE not in frame:
            self._deltas += 1
            self._delta_bytes += max(0, len(frame) - _DELTA_OVERHEAD_BYTES)

    def _read(self, frame: bytes) -> None:
        name = event_name(frame)
        if name == b"content_block_delta":
            self._delta(frame)
        elif name == b"content_block_start":
            # Text and thinking start empty; the result of a server tool comes whole.
            self.has_content = self.has_content or b"_tool_result" in frame
        elif name in _PARSED:
            self._read_parsed(name, payload_of(frame))

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


class AnthropicMessageTee:
    """See `types.MessageTee`."""

    __slots__ = ("has_content", "is_message", "seen")

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

    @property
    def delivered_tokens(self) -> int:
        """Nothing is a message here without the provider's count."""
        return 0

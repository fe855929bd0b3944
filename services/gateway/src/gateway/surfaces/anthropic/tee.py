"""The tee of `/v1/messages`: bytes pass unchanged, usage is read on the way, the ending is held back."""

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from gateway.surfaces.frames import event_name, payload_of
from gateway.surfaces.holding_tee import HoldingTee
from gateway.usage.seen import UsageSeen

# `event: content_block_delta`, its JSON without the text, the padding that the provider adds, and the blank line.
_DELTA_OVERHEAD_BYTES: Final = 118
_BLANK_LINE: Final = b"\n\n"
_SIGNATURE: Final = b'"signature_delta"'
_PARSED: Final = frozenset({b"message_start", b"message_delta", b"message_stop", b"error"})


class AnthropicStreamTee(HoldingTee):
    """The event that ends the stream is `message_stop` or `error`."""

    __slots__ = ()

    common_start = b"event: content_block_delta\ndata: "
    common_lines = 3
    # From two on it is cheaper than one by one.
    common_run = re.compile(rb"(?:event: content_block_delta\ndata: [^\n]*+\n\n){2,}+")

    def _common(self, frame: bytes) -> bool:
        self.has_content = True
        if _SIGNATURE not in frame:
            self._events += 1
            size = len(frame) - _DELTA_OVERHEAD_BYTES
            if size > 0:
                self._bytes += size
        return True

    def _common_run(self, frames: bytes) -> bool:
        if _SIGNATURE in frames:
            return False
        self.has_content = True
        overhead = _DELTA_OVERHEAD_BYTES - len(_BLANK_LINE)
        sizes = list(map(len, frames.split(_BLANK_LINE)))
        # Behind the last blank line stands nothing.
        sizes.pop()
        self._events += len(sizes)
        if min(sizes) >= overhead:
            self._bytes += sum(sizes) - overhead * len(sizes)
        else:
            self._bytes += sum([size - overhead for size in sizes if size > overhead])
        return True

    def _read(self, frame: bytes) -> bool:
        name = event_name(frame)
        if name == b"content_block_delta":
            self._common(frame)
        elif name == b"content_block_start":
            # Text and thinking start empty; the result of a server tool comes whole.
            self.has_content = self.has_content or b"_tool_result" in frame
        elif name in _PARSED:
            self._read_parsed(name, payload_of(frame))
        return True

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

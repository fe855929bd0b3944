"""The tee of `/v1/responses`: events pass unchanged; the event that ends the response is held back."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from gateway.surfaces.frames import event_name, payload_of
from gateway.surfaces.holding_tee import HoldingTee
from gateway.surfaces.openai.counts import tier_of, usage_of
from gateway.usage.seen import UsageSeen

_BYTES_PER_TOKEN: Final = 4
_DELTA_KEY: Final = b'"delta":"'
_STOPS: Final = frozenset({b"response.completed", b"response.incomplete"})
_FAILURES: Final = frozenset({b"response.failed", b"response.cancelled", b"error"})
_BEGINS: Final = frozenset({b"response.created", b"response.in_progress"})
_BACKSLASH: Final = 0x5C


class ResponsesStreamTee(HoldingTee):
    """The event that ends the stream says how the response ended."""

    __slots__ = ()

    common_start = b"event: response."
    common_lines = 3

    def _common(self, frame: bytes) -> bool:
        """Count an event that brings a piece of text and nothing else."""
        name_end = frame.index(b"\n")
        if not frame.endswith(b".delta", 0, name_end):
            return False
        begin = frame.find(_DELTA_KEY, name_end)
        end = frame.find(b'"', begin + len(_DELTA_KEY))
        length = end - begin - len(_DELTA_KEY)
        if begin < 0 or length <= 0 or frame[end - 1] == _BACKSLASH:
            return False
        self.has_content = True
        self._events += 1
        self._bytes += length
        return True

    def _read(self, frame: bytes) -> bool:
        name = event_name(frame)
        if name.endswith(b".delta"):
            self._read_delta(payload_of(frame).get("delta"))
        elif name in _STOPS or name in _FAILURES:
            self._end(name, payload_of(frame))
        elif name in _BEGINS:
            self._read_response(payload_of(frame).get("response"))
        return True

    def _read_delta(self, delta: object) -> None:
        if isinstance(delta, str) and delta:
            self.has_content = True
            self._events += 1
            self._bytes += len(delta.encode(errors="replace"))

    def _end(self, name: bytes, payload: Mapping[str, Any]) -> None:
        self.terminal = "stop" if name in _STOPS else "error"
        response = payload.get("response")
        self._read_response(response)
        if self.terminal == "error":
            error = response.get("error") if isinstance(response, Mapping) else payload.get("error") or payload
            code = error.get("code") if isinstance(error, Mapping) else None
            self.error_type = code if isinstance(code, str) else "api_error"

    def _read_response(self, response: object) -> None:
        if isinstance(response, Mapping):
            read_response(response, self.seen)


class ResponsesMessageTee:
    """See `types.MessageTee`."""

    __slots__ = ("_bytes", "has_content", "is_message", "seen")

    def __init__(self, body: bytes) -> None:
        self.seen = UsageSeen()
        self.has_content = False
        self.is_message = False
        self._bytes = 0
        try:
            response = orjson.loads(body)
        except orjson.JSONDecodeError:
            return
        output = response.get("output") if isinstance(response, dict) else None
        if not isinstance(output, list):
            return
        self.is_message = response.get("status") not in {"failed", "cancelled"}
        self.has_content = bool(output)
        self._bytes = len(orjson.dumps(output)) if output else 0
        read_response(response, self.seen)

    @property
    def delivered_tokens(self) -> int:
        return self._bytes // _BYTES_PER_TOKEN


def read_response(response: Mapping[str, Any], seen: UsageSeen) -> None:
    """What a response says of the model, its end and its usage; a null usage says nothing."""
    if isinstance(model := response.get("model"), str):
        seen.model = model
    details = response.get("incomplete_details")
    if isinstance(details, Mapping) and isinstance(reason := details.get("reason"), str):
        seen.stop_reason = "refusal" if reason == "content_filter" else reason
    elif response.get("status") == "completed":
        seen.stop_reason = "stop"
    if (usage := usage_of(response.get("usage"))) is not None:
        seen.usage({**usage, "service_tier": tier_of(response)})

"""The tee of `/v1/chat/completions`: chunks pass unchanged, usage is read on the way, `[DONE]` is held back."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from gateway.surfaces.frames import data_of
from gateway.surfaces.holding_tee import HoldingTee
from gateway.surfaces.openai.counts import tier_of, usage_of
from gateway.usage.seen import UsageSeen

_BYTES_PER_TOKEN: Final = 4
_CONTENT: Final = b'"content":"'
_DONE: Final = b"[DONE]"
_SPEAKING: Final = (b'"finish_reason"', b'"usage"', b'"error"')
_NULL: Final = (b":null", b": null")
_BACKSLASH: Final = 0x5C


class ChatStreamTee(HoldingTee):
    """The usage chunk that only we asked for does not go out."""

    __slots__ = ("_wants_usage",)

    common_start = b"data: {"
    common_lines = 2

    def __init__(self, *, wants_usage: bool) -> None:
        super().__init__()
        self._wants_usage = wants_usage

    def _common(self, frame: bytes) -> bool:
        """Count a chunk by its text alone, if it is in mid-answer and says nothing else."""
        begin = frame.find(_CONTENT)
        if begin < 0 or not self.has_content or not _is_midway(frame):
            return False
        end = frame.find(b'"', begin + len(_CONTENT))
        length = end - begin - len(_CONTENT)
        if length <= 0 or frame[end - 1] == _BACKSLASH:
            return False
        self._events += 1
        self._bytes += length
        return True

    def _read(self, frame: bytes) -> bool:
        data = data_of(frame)
        if data.startswith(_DONE):
            self.terminal = "stop"
            return True
        chunk = _object(data)
        if chunk is None:
            return True
        if error := chunk.get("error"):
            self.terminal = "error"
            self.error_type = _error_type(error)
        if isinstance(model := chunk.get("model"), str):
            self.seen.model = model
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, Mapping):
                self._read_choice(choice)
        usage = usage_of(chunk.get("usage") or _groq(chunk))
        if usage is None:
            return True
        self.seen.usage({**usage, "service_tier": tier_of(chunk)})
        return choices != [] or self._wants_usage

    def _read_choice(self, choice: Mapping[str, Any]) -> None:
        if isinstance(reason := choice.get("finish_reason"), str):
            self.seen.stop_reason = stop_reason_of(reason)
        delta = choice.get("delta")
        if isinstance(delta, Mapping) and (size := content_bytes(delta)):
            self.has_content = True
            self._events += 1
            self._bytes += size


class ChatMessageTee:
    """See `types.MessageTee`; a provider that counts nothing is charged by what it delivered."""

    __slots__ = ("_bytes", "has_content", "is_message", "seen")

    def __init__(self, body: bytes) -> None:
        self.seen = UsageSeen()
        self.has_content = False
        self.is_message = False
        self._bytes = 0
        answer = _object(body)
        choices = answer.get("choices") if answer is not None else None
        if answer is None or not isinstance(choices, list):
            return
        self.is_message = True
        if isinstance(model := answer.get("model"), str):
            self.seen.model = model
        for choice in choices:
            if isinstance(choice, Mapping):
                self._read_choice(choice)
        if (usage := usage_of(answer.get("usage"))) is not None:
            self.seen.usage({**usage, "service_tier": tier_of(answer)})

    @property
    def delivered_tokens(self) -> int:
        return self._bytes // _BYTES_PER_TOKEN

    def _read_choice(self, choice: Mapping[str, Any]) -> None:
        if isinstance(reason := choice.get("finish_reason"), str):
            self.seen.stop_reason = stop_reason_of(reason)
        message = choice.get("message")
        if isinstance(message, Mapping) and (size := content_bytes(message)):
            self.has_content = True
            self._bytes += size


def stop_reason_of(finish_reason: str) -> str:
    return "refusal" if finish_reason == "content_filter" else finish_reason


def content_bytes(node: Mapping[str, Any]) -> int:
    """How much a delta or message brings: all of its text, whatever the provider calls it, and tool calls."""
    size = 0
    for name, value in node.items():
        if name == "role" or not value:
            continue
        if type(value) is str:
            size += len(value.encode(errors="replace"))
        elif type(value) is list or type(value) is dict:
            size += len(orjson.dumps(value))
    return size


def _is_midway(frame: bytes) -> bool:
    """Neither an end nor usage nor an error; null is how some providers spell nothing."""
    for word in _SPEAKING:
        at = frame.find(word)
        if at >= 0:
            behind = at + len(word)
            if not frame.startswith(_NULL, behind) or frame.find(word, behind) >= 0:
                return False
    return True


def _object(data: bytes) -> Mapping[str, Any] | None:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _groq(chunk: Mapping[str, Any]) -> object:
    """Groq's own place for it, before it followed the others."""
    own = chunk.get("x_groq")
    return own.get("usage") if isinstance(own, Mapping) else None


def _error_type(error: object) -> str:
    if isinstance(error, Mapping):
        for name in ("type", "code"):
            if isinstance(kind := error.get(name), str):
                return kind
    return "api_error"

"""What the provider has said about a call's usage so far: the last word on each field, never a sum.

The fields are Anthropic's; the tees of other vendors translate theirs before they say them here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rating import Iteration, TokenCounts

# Entries of `iterations` that the top level leaves out; the others are the top level, told in parts.
_ON_TOP: Final = frozenset({"compaction", "advisor_message"})
_MOST_COUNT: Final = 1_000_000_000
_NOTHING: Final[Mapping[str, Any]] = {}


class UsageSeen:
    """Collects `usage` objects; a field that is null or absent leaves the earlier word standing, zero does not."""

    __slots__ = ("_fields", "_split", "_tools", "model", "said_anything", "stop_reason")

    def __init__(self) -> None:
        self.model: str | None = None
        self.stop_reason: str | None = None
        self.said_anything = False
        self._fields: dict[str, Any] = {}
        self._split: dict[str, Any] = {}
        self._tools: dict[str, Any] = {}

    def message(self, message: Mapping[str, Any]) -> None:
        """The message of `message_start`, or a whole one."""
        if isinstance(model := message.get("model"), str):
            self.model = model
        self.stopped(message)
        self.usage(message.get("usage"))

    def stopped(self, delta: Mapping[str, Any]) -> None:
        if isinstance(reason := delta.get("stop_reason"), str):
            self.stop_reason = reason

    def usage(self, usage: object) -> None:
        if not isinstance(usage, dict):
            return
        self.said_anything = True
        _merge(self._fields, usage)
        if isinstance(split := usage.get("cache_creation"), dict):
            _merge(self._split, split)
        if isinstance(tools := usage.get("server_tool_use"), dict):
            _merge(self._tools, tools)

    @property
    def output_tokens(self) -> int:
        return _count(self._fields, "output_tokens")

    @property
    def service_tier(self) -> str | None:
        return self._text("service_tier")

    @property
    def inference_geo(self) -> str | None:
        return self._text("inference_geo")

    @property
    def speed(self) -> str | None:
        return self._text("speed")

    def serving_model(self) -> str | None:
        """The model of the last `fallback_message`, else the one that the message names."""
        if "iterations" not in self._fields:
            return self.model
        fallen = [entry.get("model") for entry in self._entries() if entry.get("type") == "fallback_message"]
        named = [model for model in fallen if isinstance(model, str)]
        return named[-1] if named else self.model

    def counts(self) -> TokenCounts:
        return _counts(self._fields, split=self._split, tools=self._tools)

    def iterations(self, *, serving_model: str) -> tuple[Iteration, ...]:
        """The work on top of the totals, each at its own model."""
        if "iterations" not in self._fields:
            return ()
        found = []
        for entry in self._entries():
            if entry.get("type") in _ON_TOP:
                model = entry.get("model")
                named = model if isinstance(model, str) else serving_model
                split, tools = entry.get("cache_creation"), entry.get("server_tool_use")
                found.append(Iteration(named, _counts(entry, split=_mapping(split), tools=_mapping(tools))))
        return tuple(found)

    def _entries(self) -> Sequence[Mapping[str, Any]]:
        entries = self._fields.get("iterations")
        if not entries or not isinstance(entries, list):
            return ()
        return [entry for entry in entries if isinstance(entry, Mapping)]

    def _text(self, name: str) -> str | None:
        value = self._fields.get(name)
        return value if isinstance(value, str) else None


def _merge(known: dict[str, Any], said: Mapping[str, Any]) -> None:
    known.update({name: value for name, value in said.items() if value is not None})


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else _NOTHING


def _counts(usage: Mapping[str, Any], *, split: Mapping[str, Any], tools: Mapping[str, Any]) -> TokenCounts:
    one_hour = _count(split, "ephemeral_1h_input_tokens") if split else 0
    five_minutes = _count(split, "ephemeral_5m_input_tokens") if split else 0
    if "cache_creation_input_tokens" in usage:
        # `message_delta` repeats the total without the split; what the split does not explain is the default, 5 m.
        written = _count(usage, "cache_creation_input_tokens")
        one_hour = min(one_hour, written)
        five_minutes = written - one_hour
    return TokenCounts(
        input_tokens=_count(usage, "input_tokens"),
        cache_write_5m_tokens=five_minutes,
        cache_write_1h_tokens=one_hour,
        cache_read_tokens=_count(usage, "cache_read_input_tokens"),
        output_tokens=_count(usage, "output_tokens"),
        web_search_requests=_count(tools, "web_search_requests") if tools else 0,
        web_fetch_requests=_count(tools, "web_fetch_requests") if tools else 0,
        code_execution_requests=_count(tools, "code_execution_requests") if tools else 0,
    )


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    # bool is an int to isinstance; a count beyond reason would park the event at the ledger.
    return value if type(value) is int and 0 <= value <= _MOST_COUNT else 0

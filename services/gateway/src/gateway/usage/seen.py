"""What the provider has said about a call's usage so far: the last word on each field, never a sum."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from contracts.gateway import Counts, IterationCounts

# Entries of `iterations` that the top level leaves out; the others are the top level, told in parts.
_ON_TOP: Final = frozenset({"compaction", "advisor_message"})
_MOST_COUNT: Final = 1_000_000_000


class UsageSeen:
    """Collects `usage` objects; a field that is null or absent leaves the earlier word standing, zero does not."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.stop_reason: str | None = None
        self.said_anything = False
        self._fields: dict[str, Any] = {}
        self._split: dict[str, Any] = {}

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
        if not isinstance(usage, Mapping):
            return
        self.said_anything = True
        self._fields.update({name: value for name, value in usage.items() if value is not None})
        if isinstance(split := usage.get("cache_creation"), Mapping):
            self._split.update({name: value for name, value in split.items() if value is not None})

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
        fallen = [entry.get("model") for entry in self._entries() if entry.get("type") == "fallback_message"]
        named = [model for model in fallen if isinstance(model, str)]
        return named[-1] if named else self.model

    def counts(self) -> Counts:
        return _counts({**self._fields, "cache_creation": self._split})

    def iterations(self, *, serving_model: str) -> tuple[IterationCounts, ...]:
        """The work on top of the totals, each at its own model."""
        found = []
        for entry in self._entries():
            if entry.get("type") in _ON_TOP:
                model = entry.get("model")
                named = model if isinstance(model, str) else serving_model
                found.append(IterationCounts(model=named, counts=_counts(entry)))
        return tuple(found)

    def _entries(self) -> list[Mapping[str, Any]]:
        entries = self._fields.get("iterations")
        if not isinstance(entries, Sequence) or isinstance(entries, str):
            return []
        return [entry for entry in entries if isinstance(entry, Mapping)]

    def _text(self, name: str) -> str | None:
        value = self._fields.get(name)
        return value if isinstance(value, str) else None


def _counts(usage: Mapping[str, Any]) -> Counts:
    split = usage.get("cache_creation")
    split = split if isinstance(split, Mapping) else {}
    one_hour, five_minutes = (_count(split, f"ephemeral_{age}_input_tokens") for age in ("1h", "5m"))
    if "cache_creation_input_tokens" in usage:
        # `message_delta` repeats the total without the split; what the split does not explain is the default, 5 m.
        written = _count(usage, "cache_creation_input_tokens")
        one_hour = min(one_hour, written)
        five_minutes = written - one_hour
    tools = usage.get("server_tool_use")
    return Counts(
        input_tokens=_count(usage, "input_tokens"),
        cache_write_5m_tokens=five_minutes,
        cache_write_1h_tokens=one_hour,
        cache_read_tokens=_count(usage, "cache_read_input_tokens"),
        output_tokens=_count(usage, "output_tokens"),
        web_search_requests=_count(tools, "web_search_requests") if isinstance(tools, Mapping) else 0,
    )


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    # bool is an int to isinstance; a count beyond reason would park the event at the ledger.
    return value if type(value) is int and 0 <= value <= _MOST_COUNT else 0

"""The models that the stand-in knows, with what the official SDK demands of an entry."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sandbox.provider.errors import ApiError


@dataclass(frozen=True, slots=True)
class Model:
    id: str
    display_name: str
    released: str
    context_tokens: int = 1_000_000
    max_output_tokens: int = 128_000
    deprecated_at: str | None = None
    retires_at: str | None = None

    @property
    def line(self) -> str:
        return self.id.split("-")[1]

    def entry(self) -> dict[str, Any]:
        return {
            "type": "model",
            "id": self.id,
            "display_name": self.display_name,
            "created_at": f"{self.released}T00:00:00Z",
            "lifecycle": "deprecated" if self.deprecated_at else "active",
            "deprecated_at": self.deprecated_at,
            "retires_at": self.retires_at,
            "line": self.line,
            "max_input_tokens": self.context_tokens,
            "max_tokens": self.max_output_tokens,
            "capabilities": _CAPABILITIES,
        }


_YES = {"supported": True}
_CAPABILITIES: Mapping[str, Any] = {
    "batch": _YES,
    "citations": _YES,
    "code_execution": _YES,
    "context_management": {
        "supported": True,
        "clear_thinking_20251015": _YES,
        "clear_tool_uses_20250919": _YES,
        "compact_20260112": _YES,
    },
    "effort": {"supported": True, "low": _YES, "medium": _YES, "high": _YES, "xhigh": _YES, "max": _YES},
    "image_input": _YES,
    "pdf_input": _YES,
    "server_tools": {"supported": True, "code_execution": _YES, "web_search": _YES},
    "structured_outputs": _YES,
    "thinking": {
        "supported": True,
        "types": {"adaptive": _YES, "between_tools": _YES, "disabled": _YES, "enabled": _YES},
    },
}


def _small(model_id: str, display_name: str, *, released: str) -> Model:
    return Model(model_id, display_name, released, context_tokens=200_000, max_output_tokens=64_000)


def _leaving(model: Model) -> Model:
    return replace(model, deprecated_at="2026-09-29T00:00:00Z", retires_at="2026-11-30T00:00:00Z")


_NEWEST_FIRST = (
    Model("claude-fable-5-2", "Claude Fable 5.2", "2026-11-05"),
    Model("claude-mythos-5-2", "Claude Mythos 5.2", "2026-11-05"),
    Model("claude-haiku-5-5", "Claude Haiku 5.5", "2026-10-07"),
    Model("claude-sonnet-5-5", "Claude Sonnet 5.5", "2026-10-07"),
    Model("claude-opus-5-5", "Claude Opus 5.5", "2026-09-16"),
    Model("claude-fable-5-1", "Claude Fable 5.1", "2026-09-02"),
    Model("claude-mythos-5-1", "Claude Mythos 5.1", "2026-09-02"),
    Model("claude-sonnet-5", "Claude Sonnet 5", "2026-07-22"),
    Model("claude-fable-5", "Claude Fable 5", "2026-06-24"),
    Model("claude-mythos-5", "Claude Mythos 5", "2026-06-24"),
    Model("claude-opus-5", "Claude Opus 5", "2026-06-10"),
    Model("claude-opus-4-8", "Claude Opus 4.8", "2026-05-13"),
    Model("claude-opus-4-7", "Claude Opus 4.7", "2026-04-16"),
    _small("claude-sonnet-4-6", "Claude Sonnet 4.6", released="2026-02-17"),
    Model("claude-opus-4-6", "Claude Opus 4.6", "2026-02-05"),
    _small("claude-opus-4-5", "Claude Opus 4.5", released="2025-11-24"),
    _small("claude-opus-4-5-20251101", "Claude Opus 4.5", released="2025-11-24"),
    _small("claude-haiku-4-5", "Claude Haiku 4.5", released="2025-10-15"),
    _small("claude-haiku-4-5-20251001", "Claude Haiku 4.5", released="2025-10-15"),
    _leaving(_small("claude-sonnet-4-5", "Claude Sonnet 4.5", released="2025-09-29")),
    _leaving(_small("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5", released="2025-09-29")),
)
MODELS: Mapping[str, Model] = {model.id: model for model in _NEWEST_FIRST}


def model_named(name: str) -> Model:
    try:
        return MODELS[name]
    except KeyError:
        raise ApiError(404, f"model: {name}") from None


def page_of_models(query: Mapping[str, str]) -> dict[str, Any]:
    """One page of the list, newest first, as the cursor parameters ask."""
    limit = _limit(query.get("limit", "20"))
    entries = [model.entry() for model in _NEWEST_FIRST]
    ids = [model.id for model in _NEWEST_FIRST]
    if before := query.get("before_id"):
        end = _position(ids, before, name="before_id")
        begin = max(0, end - limit)
        page, more = entries[begin:end], begin > 0
    else:
        begin = _position(ids, query["after_id"], name="after_id") + 1 if "after_id" in query else 0
        page, more = entries[begin : begin + limit], begin + limit < len(entries)
    ends = (page[0]["id"], page[-1]["id"]) if page else (None, None)
    return {"data": page, "first_id": ends[0], "last_id": ends[1], "has_more": more}


def _limit(text: str) -> int:
    if not text.isdecimal():
        raise ApiError(400, "limit: Input should be a valid integer, unable to parse string as an integer")
    if not 1 <= int(text) <= 1000:
        raise ApiError(400, "limit: Input should be between 1 and 1000")
    return int(text)


def _position(ids: list[str], wanted: str, *, name: str) -> int:
    if wanted not in ids:
        raise ApiError(400, f"{name}: unknown model '{wanted}'")
    return ids.index(wanted)

"""The most that a call can use, from its body alone (money.md 7).

The input estimate must not be below the provider's count. It counts, per byte of the body outside base64:
half a token for ASCII letters, spaces and non-ASCII bytes, a whole token for all else (digits, punctuation, JSON's own
signs and escapes); then a fixed amount per call, message and tool. English prose comes out at about twice its real
count. Random letters can pass this bound; the excess is booked in full all the same. Content whose size the body does
not show (URLs, file ids, PDF in base64, containers, MCP) reserves the model's whole context window.
"""

import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from gateway.dataplane.ask import Ask
from gateway.errors import ModelApiError
from rating import CacheUse, CallBounds, Cost, IterationBounds, PriceBook, UnpricedModelError, UnpricedOptionError
from rating import dearest_case as dearest_case_of
from rating.usage import MAX_QUANTITY

_HALF_TOKEN_BYTES: Final = (string.ascii_letters + " ").encode() + bytes(range(128, 256))
_CALL_TOKENS: Final = 200
_MESSAGE_TOKENS: Final = 20
_TOOLS_TOKENS: Final = 1_000
# The provider scales images down to a size that is worth no more.
_IMAGE_TOKENS: Final = 6_000
_SEARCH_TOKENS: Final = 20_000
_FETCH_TOKENS: Final = 100_000
_DEFAULT_USES: Final = 10
_MOST_USES: Final = 1_000
_ADVISOR_USES: Final = 3


@dataclass(slots=True)
class _Found:
    """What a walk over the body has come upon."""

    base64_whole: int = 0
    base64_half: int = 0
    images: int = 0
    cache: CacheUse = CacheUse.NONE
    has_unknown_content: bool = False


@dataclass(slots=True)
class _ServerTools:
    searches: int = 0
    fetches: int = 0
    executions: int = 0
    added_tokens: int = 0
    has_unknown_content: bool = False
    advisors: list[tuple[str, int]] = field(default_factory=list)


def worst_cost(book: PriceBook, ask: Ask, *, at: datetime) -> Cost:
    """The dearest case over all models that could serve the call; raises `ModelApiError` for what has no price."""
    if ask.model not in book.rates:
        raise ModelApiError(404, f"model: {ask.model}")
    bounds = bounds_of(ask, context_window_tokens=book.rates_for(ask.model).context_window_tokens)
    try:
        return dearest_case_of(book, bounds, models=_serving_models(ask, book), at=at)
    except UnpricedModelError as error:
        raise ModelApiError(404, f"model: {error.model}") from None
    except UnpricedOptionError as error:
        raise ModelApiError(400, f"{error.option}: {error.value!r} is not sold for {error.model}") from None


def bounds_of(ask: Ask, *, context_window_tokens: int) -> CallBounds:
    found = _walk(ask.body)
    tools = _server_tools(ask.body)
    whole, half = _weights(ask.raw)
    input_tokens = _tokens(whole - found.base64_whole, half=half - found.base64_half) + _fixed_tokens(ask.body)
    input_tokens += found.images * _IMAGE_TOKENS + tools.added_tokens
    # A prompt that is larger than the window is refused by the provider.
    input_tokens = min(input_tokens, context_window_tokens)
    has_unknown = found.has_unknown_content or tools.has_unknown_content or _has_hidden_parts(ask.body)
    return CallBounds(
        input_tokens=input_tokens,
        max_tokens=ask.max_tokens,
        cache=found.cache,
        has_unknown_content=has_unknown,
        inference_geo=_text(ask.body, "inference_geo"),
        speed=_text(ask.body, "speed"),
        web_search_max_uses=tools.searches,
        web_fetch_max_uses=tools.fetches,
        code_execution_max_uses=tools.executions,
        iterations=tuple(_iterations(ask, tools=tools, input_tokens=input_tokens)),
    )


def _weights(text: bytes) -> tuple[int, int]:
    """How many bytes count as a token each, and how many as half a token."""
    whole = len(text.translate(None, _HALF_TOKEN_BYTES))
    return whole, len(text) - whole


def _tokens(whole: int, *, half: int) -> int:
    return whole + (half + 1) // 2


def likely_tokens(raw: bytes) -> int:
    """What the input probably counts: for a charge without any count of the provider's."""
    return len(raw) // 4


def _fixed_tokens(body: Mapping[str, Any]) -> int:
    messages, tools = body.get("messages"), body.get("tools")
    tokens = _CALL_TOKENS + _MESSAGE_TOKENS * (len(messages) if isinstance(messages, list) else 0)
    return tokens + (_TOOLS_TOKENS if tools else 0)


def _walk(body: Mapping[str, Any]) -> _Found:
    found = _Found()
    waiting: list[Any] = [body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            _note(node, found)
            waiting.extend(value for value in node.values() if isinstance(value, dict | list))
        else:
            waiting.extend(value for value in node if isinstance(value, dict | list))
    return found


def _note(node: Mapping[str, Any], found: _Found) -> None:
    if node.get("cache_control") is not None:
        found.cache = max(found.cache, _cache_use(node["cache_control"]))
    kind = _kind(node)
    if kind == "container_upload":
        found.has_unknown_content = True
    if kind in {"image", "document"} and isinstance(source := node.get("source"), dict):
        _note_source(source, found, is_image=kind == "image")


def _note_source(source: Mapping[str, Any], found: _Found, *, is_image: bool) -> None:
    kind = _kind(source)
    if kind == "base64" and isinstance(source.get("data"), str):
        whole, half = _weights(source["data"].encode(errors="replace"))
        found.base64_whole += whole
        found.base64_half += half
    if is_image:
        found.images += 1
    elif kind not in {"text", "content"}:
        found.has_unknown_content = True


def _kind(node: Mapping[str, Any]) -> str:
    kind = node.get("type")
    return kind if isinstance(kind, str) else ""


def _cache_use(control: object) -> CacheUse:
    ttl = control.get("ttl") if isinstance(control, dict) else None
    return CacheUse.FIVE_MINUTES if ttl is None or ttl == "5m" else CacheUse.ONE_HOUR


def _has_hidden_parts(body: Mapping[str, Any]) -> bool:
    return any(body.get(name) for name in ("mcp_servers", "container", "thread"))


def _server_tools(body: Mapping[str, Any]) -> _ServerTools:
    found = _ServerTools()
    tools = body.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict) and isinstance(kind := tool.get("type"), str):
            _note_tool(tool, found, kind=kind)
    if found.searches or found.fetches:
        # The provider runs code without charge in a call that may search or fetch.
        found.executions = 0
    return found


def _note_tool(tool: Mapping[str, Any], found: _ServerTools, *, kind: str) -> None:
    if kind.startswith("web_search"):
        found.searches += _uses(tool)
        found.added_tokens += _uses(tool) * _SEARCH_TOKENS
    elif kind.startswith("web_fetch"):
        found.fetches += _uses(tool)
        found.added_tokens += _uses(tool) * _positive(tool.get("max_content_tokens"), default=_FETCH_TOKENS)
    elif kind.startswith("code_execution"):
        found.executions += _uses(tool)
        found.has_unknown_content = True
    elif kind.startswith("mcp_toolset"):
        found.has_unknown_content = True
    elif kind.startswith("advisor") and isinstance(model := tool.get("model"), str):
        found.advisors.append((model, _positive(tool.get("max_uses"), default=_ADVISOR_USES)))


def _uses(tool: Mapping[str, Any]) -> int:
    return _positive(tool.get("max_uses"), default=_DEFAULT_USES)


def _positive(value: object, *, default: int) -> int:
    if value is None:
        return default
    if type(value) is not int or not 0 < value <= MAX_QUANTITY:
        raise ModelApiError(400, "tools: max_uses and max_content_tokens should be positive integers")
    return min(value, MAX_QUANTITY // _MOST_USES)


def _iterations(ask: Ask, *, tools: _ServerTools, input_tokens: int) -> Iterator[IterationBounds]:
    """Work on top of the totals: an advisor reads the whole conversation, a compaction sums it up."""
    for model, uses in tools.advisors:
        yield IterationBounds(
            model=model, input_tokens=input_tokens + ask.max_tokens, max_tokens=ask.max_tokens, uses=uses
        )
    if ask.body.get("compaction") or _mentions(ask.body.get("context_management"), "compact"):
        yield IterationBounds(model=ask.model, input_tokens=input_tokens, max_tokens=ask.max_tokens)


def _mentions(node: object, word: str) -> bool:
    """Whether a word stands in any string within; without recursion, for the depth is the client's choice."""
    waiting = [node]
    while waiting:
        match waiting.pop():
            case str(text) if word in text:
                return True
            case dict(members):
                waiting.extend([*members.keys(), *members.values()])
            case list(items):
                waiting.extend(items)
    return False


def _serving_models(ask: Ask, book: PriceBook) -> list[str]:
    fallbacks = ask.body.get("fallbacks")
    if not fallbacks:
        return [ask.model]
    entries = fallbacks if isinstance(fallbacks, list) else [fallbacks]
    named = [entry.get("model") if isinstance(entry, dict) else entry for entry in entries]
    if all(isinstance(model, str) and model in book.rates for model in named):
        return [ask.model, *(str(model) for model in named)]
    # The provider picks: any model that is sold may be the one.
    return list(book.models)


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise ModelApiError(400, f"{name}: Input should be a valid string")
    return value

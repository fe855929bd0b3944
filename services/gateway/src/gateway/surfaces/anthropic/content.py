"""A walk over a `/v1/messages` body: content that is not text, prompt caches, tools that the provider runs.

Blocks that can hold nothing of these are passed over; whatever is unknown here is searched to the bottom.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.errors import ModelApiError
from gateway.surfaces.sizes import weights_of
from rating import CacheUse
from rating.usage import MAX_QUANTITY

_PLAIN_BLOCKS: Final = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})
_HARMLESS: Final = frozenset({"metadata", "thinking", "stop_sequences", "tool_choice", "output_config"})
# Members of the body that hold neither content nor caches, or are read apart.
_PASSED_OVER: Final = _HARMLESS | {"messages", "system", "tools", "context_management", "fallbacks"}
_HIDDEN_PARTS: Final = ("mcp_servers", "container", "thread")
_SEARCH_TOKENS: Final = 20_000
_FETCH_TOKENS: Final = 100_000
_DEFAULT_USES: Final = 10
_MOST_USES: Final = 1_000
_ADVISOR_USES: Final = 3


@dataclass(slots=True)
class Content:
    """What the walk has come upon; `data_*` are the weights of base64 that is no text."""

    data_whole: int = 0
    data_half: int = 0
    images: int = 0
    documents: int = 0
    cache: CacheUse = CacheUse.NONE
    has_unknown: bool = False
    searches: int = 0
    fetches: int = 0
    executions: int = 0
    added_tokens: int = 0
    advisors: list[tuple[str, int]] = field(default_factory=list)


def is_plain(body: Mapping[str, Any]) -> bool:
    """Whether the body is text and scalars all through, as most are: then there is nothing to walk for."""
    for name, value in body.items():
        if type(value) is not dict and type(value) is not list:
            if name in _HIDDEN_PARTS:
                return False
        elif name == "messages":
            for message in value:
                if type(message) is not dict or type(message.get("content")) is not str:
                    return False
        elif name not in _HARMLESS:
            return False
    return True


def content_of(body: Mapping[str, Any]) -> Content:
    found = Content()
    for name, value in body.items():
        if type(value) is dict or type(value) is list:
            if name == "messages":
                _messages(value, found)
            elif name == "system":
                _blocks(value, found)
            elif name == "tools":
                _tools(value, found)
            elif name not in _PASSED_OVER:
                _anything({name: value}, found)
    for name in _HIDDEN_PARTS:
        if body.get(name):
            found.has_unknown = True
    return found


def _messages(messages: Any, found: Content) -> None:
    for message in messages:
        if type(message) is dict:
            content = message.get("content")
            if type(content) is not str:
                _blocks(content, found)
        else:
            _anything(message, found)


def _blocks(blocks: Any, found: Content) -> None:
    if type(blocks) is not list:
        _anything(blocks, found)
        return
    for block in blocks:
        kind = block.get("type") if type(block) is dict else None
        if type(kind) is str and kind in _PLAIN_BLOCKS:
            if "cache_control" in block:
                _note_cache(block["cache_control"], found)
        else:
            _anything(block, found)


def _anything(node: Any, found: Content) -> None:
    """To the bottom, without recursion: the depth is the client's choice."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if type(node) is dict:
            _note(node, found)
            waiting.extend(value for value in node.values() if type(value) is dict or type(value) is list)
        elif type(node) is list:
            waiting.extend(value for value in node if type(value) is dict or type(value) is list)


def _note(node: Mapping[str, Any], found: Content) -> None:
    if "cache_control" in node:
        _note_cache(node["cache_control"], found)
    kind = node.get("type")
    if kind == "container_upload":
        found.has_unknown = True
    elif kind == "image" or kind == "document":  # noqa: PLR1714  # a set would refuse what cannot be hashed
        source = node.get("source")
        if type(source) is dict:
            _note_source(source, found, is_image=kind == "image")


def _note_source(source: Mapping[str, Any], found: Content, *, is_image: bool) -> None:
    kind, text = source.get("type"), source.get("data")
    if kind == "base64" and type(text) is str:
        whole, half = weights_of(text.encode(errors="replace"))
        found.data_whole += whole
        found.data_half += half
    if is_image:
        found.images += 1
    elif kind not in ("text", "content"):
        found.documents += 1
        found.has_unknown = True


def _note_cache(control: object, found: Content) -> None:
    if control is None:
        return
    ttl = control.get("ttl") if isinstance(control, dict) else None
    use = CacheUse.FIVE_MINUTES if ttl is None or ttl == "5m" else CacheUse.ONE_HOUR
    found.cache = max(found.cache, use)


def _tools(tools: Any, found: Content) -> None:
    if type(tools) is not list:
        _anything(tools, found)
        return
    for tool in tools:
        if type(tool) is dict:
            if "cache_control" in tool:
                _note_cache(tool["cache_control"], found)
            kind = tool.get("type")
            if type(kind) is str and kind != "custom":
                _note_tool(tool, found, kind=kind)
    if found.searches or found.fetches:
        # The provider runs code without charge in a call that may search or fetch.
        found.executions = 0


def _note_tool(tool: Mapping[str, Any], found: Content, *, kind: str) -> None:
    if kind.startswith("web_search"):
        found.searches += _uses(tool)
        found.added_tokens += _uses(tool) * _SEARCH_TOKENS
    elif kind.startswith("web_fetch"):
        found.fetches += _uses(tool)
        found.added_tokens += _uses(tool) * _positive(tool.get("max_content_tokens"), default=_FETCH_TOKENS)
    elif kind.startswith("code_execution"):
        found.executions += _uses(tool)
        found.has_unknown = True
    elif kind.startswith("mcp_toolset"):
        found.has_unknown = True
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

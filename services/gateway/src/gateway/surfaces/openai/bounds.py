"""The most that a call to an OpenAI-compatible provider can use, from its body alone (money.md 7).

Text counts by its bytes. Everything else (images, audio, files, references to what the provider stores) shows no size,
so it reserves the model's whole context window.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.surfaces.estimates import Bounds
from gateway.surfaces.sizes import Weights, body_weights, weights_of
from gateway.surfaces.types import Ask
from rating import CacheUse

_CALL_TOKENS: Final = 100
_ITEM_TOKENS: Final = 20
_LIKELY_UNKNOWN_TOKENS: Final = 2_000
_DATA_URL: Final = "data:"
_TEXT_PARTS: Final = frozenset({"text", "input_text", "output_text", "refusal", "summary_text", "reasoning_text"})
_TEXT_ITEMS: Final = frozenset({
    "message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "reasoning",
    "local_shell_call", "local_shell_call_output", "apply_patch_call", "apply_patch_call_output",
})  # fmt: skip
_STORED: Final = frozenset({"previous_response_id", "conversation", "cached_content", "extra_body", "google"})


def chat_bounds(ask: Ask) -> Bounds:
    body = ask.body
    messages = body.get("messages")
    unknown = 0 if _messages_are_text(messages) else 1
    unknown += _stored_parts(body)
    if body.get("prediction"):
        # What a prediction gets wrong is charged as output, beyond what comes back.
        unknown += 1
    return _bounds(ask, items=messages, unknown=unknown)


def responses_bounds(ask: Ask) -> Bounds:
    body = ask.body
    items = body.get("input")
    unknown = 0 if type(items) is str or items is None or _items_are_text(items) else 1
    return _bounds(ask, items=items, unknown=unknown + _stored_parts(body))


def embeddings_bounds(ask: Ask) -> Bounds:
    """Each input has a window of its own; numbers are tokens already."""
    weights = body_weights(ask.raw, ask.body)
    return Bounds(weights.tokens + _CALL_TOKENS, _likely_embedded(ask, weights), is_windowed=False)


def _bounds(ask: Ask, *, items: object, unknown: int) -> Bounds:
    weights = body_weights(ask.raw, ask.body)
    tokens = weights.tokens + _CALL_TOKENS + _ITEM_TOKENS * (len(items) if type(items) is list else 1)
    # Some providers pass it on to models whose cache writes cost more; nobody there says for how long.
    cache = CacheUse.ONE_HOUR if b"cache_control" in ask.raw else CacheUse.NONE
    if not unknown:
        return Bounds(tokens, weights.likely_tokens, cache)
    likely = weights.less(*_data_urls(items)).likely_tokens + unknown * _LIKELY_UNKNOWN_TOKENS
    return Bounds(tokens, max(0, likely), cache, has_unknown_content=True)


def _messages_are_text(messages: object) -> bool:
    if type(messages) is not list:
        return True
    for message in messages:
        if type(message) is not dict:
            return False
        content = message.get("content")
        if type(content) is not str and content is not None and not _parts_are_text(content):
            return False
        if message.get("audio"):
            return False
    return True


def _parts_are_text(parts: object) -> bool:
    if type(parts) is not list:
        return False
    return all(_is_of(part, _TEXT_PARTS) for part in parts)


def _items_are_text(items: object) -> bool:
    if type(items) is not list:
        return False
    return all(_is_text_item(item) for item in items)


def _is_text_item(item: object) -> bool:
    if type(item) is not dict:
        return False
    if item.get("type") is not None and not _is_of(item, _TEXT_ITEMS):
        return False
    nested = (item.get("content"), item.get("output"))
    return all(part is None or type(part) is str or _parts_are_text(part) for part in nested)


def _is_of(node: object, kinds: frozenset[str]) -> bool:
    kind = node.get("type") if type(node) is dict else None
    return type(kind) is str and kind in kinds


def _stored_parts(body: Mapping[str, Any]) -> int:
    if _STORED.isdisjoint(body):
        return 0
    return sum(1 for name in _STORED.intersection(body) if body[name])


def _data_urls(node: object) -> tuple[int, int]:
    """The weights of all `data:` addresses and base64 within, which are no text."""
    whole = half = 0
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if type(node) is dict:
            kind = node.get("type")
            is_text = type(kind) is str and kind in _TEXT_PARTS
            waiting.extend(value for value in node.values() if not (is_text and type(value) is str))
        elif type(node) is list:
            waiting.extend(node)
        elif type(node) is str and (node.startswith(_DATA_URL) or (len(node) > 4096 and " " not in node[:4096])):
            found = weights_of(node.encode(errors="replace"))
            whole, half = whole + found.whole, half + found.half
    return whole, half


def _likely_embedded(ask: Ask, weights: Weights) -> int:
    given = ask.body.get("input")
    if type(given) is list and given:
        if all(type(token) is int for token in given):
            return len(given)
        if all(type(tokens) is list for tokens in given):
            return sum(map(len, given))
    return weights.likely_tokens

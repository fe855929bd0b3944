"""The most that a `/v1/messages` call can use, from its body alone (money.md 7).

Content whose size the body does not show (URLs, file ids, PDF in base64, containers, MCP) reserves the model's whole
context window.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from gateway.errors import ModelApiError
from gateway.surfaces.anthropic.content import Content, content_of, is_plain
from gateway.surfaces.estimates import Bounds, Inner
from gateway.surfaces.parsing import text_of
from gateway.surfaces.sizes import body_weights, plain_tokens
from gateway.surfaces.types import Ask
from rating import PriceBook

_CALL_TOKENS: Final = 200
_MESSAGE_TOKENS: Final = 20
_TOOLS_TOKENS: Final = 1_000
# The provider scales images down to a size that is worth no more.
_IMAGE_TOKENS: Final = 6_000
_LIKELY_IMAGE_TOKENS: Final = 1_500
_LIKELY_DOCUMENT_TOKENS: Final = 5_000


def bounds_of(ask: Ask, *, model: str) -> Bounds:
    """`model` is the priced one that is to serve; the body may name an alias."""
    body = ask.body
    speed = text_of(body, "speed") if "speed" in body else None
    geo = text_of(body, "inference_geo") if "inference_geo" in body else None
    if is_plain(body):
        tokens, likely_tokens = plain_tokens(ask.raw, body)
        return Bounds(tokens + _fixed_tokens(body), likely_tokens, speed=speed, geo=geo)
    content = content_of(body)
    weights = body_weights(ask.raw, body).less(content.data_whole, content.data_half)
    input_tokens = weights.tokens + _fixed_tokens(body) + content.images * _IMAGE_TOKENS + content.added_tokens
    unread_tokens = content.images * _LIKELY_IMAGE_TOKENS + content.documents * _LIKELY_DOCUMENT_TOKENS
    return Bounds(
        input_tokens,
        weights.likely_tokens + unread_tokens,
        content.cache,
        content.has_unknown,
        speed,
        geo,
        searches=content.searches,
        fetches=content.fetches,
        executions=content.executions,
        inner=tuple(_inner_work(ask, content, model=model, input_tokens=input_tokens)),
    )


def serving_models(ask: Ask, chosen: tuple[str, ...], *, book: PriceBook) -> tuple[str, ...]:
    """What routing may choose, and what the body lets the provider fall back to."""
    named = named_fallbacks(ask.body)
    if named is not None and all(model in book.rates for model in named):
        return (*chosen, *named)
    # The provider picks: any model that is sold may be the one.
    return (*chosen, *book.models)


def named_fallbacks(body: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The other models that the body asks for; None where it names them in no way that is known."""
    fallbacks = body.get("fallbacks") or []
    entries = fallbacks if isinstance(fallbacks, list) else [fallbacks]
    named = [entry.get("model") if isinstance(entry, dict) else entry for entry in entries]
    known = tuple(model for model in named if isinstance(model, str))
    return known if len(known) == len(named) else None


def refuse_barred(models: Iterable[str], *, allowed: frozenset[str], book: PriceBook) -> None:
    """What a plan does not hold is not reached by a detour either."""
    for model in models:
        rates = book.rates.get(model)
        if rates is not None and model not in allowed and rates.model not in allowed:
            raise ModelApiError(404, f"model: {model} is not part of this account's plan")


def _fixed_tokens(body: Mapping[str, Any]) -> int:
    messages = body.get("messages")
    tokens = _CALL_TOKENS + _MESSAGE_TOKENS * (len(messages) if type(messages) is list else 0)
    return tokens + (_TOOLS_TOKENS if body.get("tools") else 0)


def _inner_work(ask: Ask, content: Content, *, model: str, input_tokens: int) -> Iterator[Inner]:
    """An advisor reads the whole conversation, a compaction sums it up."""
    max_tokens = ask.max_tokens or 0
    for advisor, uses in content.advisors:
        yield Inner(advisor, input_tokens + max_tokens, max_tokens, uses)
    if ask.body.get("compaction") or _mentions(ask.body.get("context_management"), "compact"):
        yield Inner(model, input_tokens, max_tokens, 1)


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

"""From a message, or the end of a stream, to what the older clients read."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from gateway.surfaces.amount_text import credits_text
from gateway.usage.ending import Ending


class Told(NamedTuple):
    """A message as far as older clients are told of it."""

    id: str | None
    model: str | None
    text: str
    stop_reason: str | None


def told(body: bytes) -> Told | None:
    """None for what is no message: that passes as it is."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(message, dict) or not isinstance(message.get("content"), list):
        return None
    texts = [block.get("text") for block in message["content"] if isinstance(block, Mapping)]
    text = "".join(text for text in texts if isinstance(text, str))
    return Told(message.get("id"), message.get("model"), text, message.get("stop_reason"))


def usage_of(ending: object) -> dict[str, Any]:
    """Tokens as they are charged; zero for what is free."""
    counts = ending.counts if isinstance(ending, Ending) else None
    if counts is None:
        return {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    return {
        "input_tokens": counts.input_tokens,
        "cache_creation_input_tokens": counts.cache_write_5m_tokens + counts.cache_write_1h_tokens,
        "cache_read_input_tokens": counts.cache_read_tokens,
        "output_tokens": counts.output_tokens,
        "total_tokens": sum(counts.tokens),
    }


def money_of(price_nano: int, balance_nano: int | None) -> dict[str, str | None]:
    """In credits; no balance for those who may not see it."""
    return {
        "charge": credits_text(price_nano),
        "balance": None if balance_nano is None else credits_text(balance_nano),
    }

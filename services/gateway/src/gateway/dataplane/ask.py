"""A model call's body as far as it must be understood; it is read, never written."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from gateway.errors import ModelApiError
from rating.usage import MAX_QUANTITY

_DECISIVE: Final = ("model", "max_tokens", "stream", "speed", "inference_geo")


@dataclass(frozen=True, slots=True)
class Ask:
    """What decides price and admission; `raw` goes to the provider as it is."""

    raw: bytes
    body: Mapping[str, Any]
    model: str
    max_tokens: int
    streamed: bool


def parse_ask(raw: bytes) -> Ask:
    """Raises `ModelApiError` naming the field that keeps the call from being priced."""
    body = parse_object(raw)
    return Ask(raw, body, named_model(body), _max_tokens(body), _streamed(body))


def parse_object(raw: bytes) -> Mapping[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        # The decoder's message names the position; it quotes nothing of the body.
        raise ModelApiError(400, f"The request body is not valid JSON: {error.msg}") from None
    if not isinstance(body, dict):
        raise ModelApiError(400, "The request body must be a JSON object")
    _refuse_double_meaning(raw)
    return body


def named_model(body: Mapping[str, Any]) -> str:
    model = body.get("model")
    if model is None:
        raise ModelApiError(400, "model: Field required")
    if not isinstance(model, str) or not 1 <= len(model) <= 256:
        raise ModelApiError(400, "model: Input should be a string of 1 to 256 characters")
    return model


def _max_tokens(body: Mapping[str, Any]) -> int:
    if body.get("max_tokens") is None:
        raise ModelApiError(400, "max_tokens: Field required")
    max_tokens = body["max_tokens"]
    if type(max_tokens) is not int:
        raise ModelApiError(400, "max_tokens: Input should be a valid integer")
    if not 0 <= max_tokens <= MAX_QUANTITY:
        raise ModelApiError(400, f"max_tokens: Input should be between 0 and {MAX_QUANTITY}")
    return max_tokens


def _streamed(body: Mapping[str, Any]) -> bool:
    streamed = body.get("stream", False)
    if not isinstance(streamed, bool):
        raise ModelApiError(400, "stream: Input should be a valid boolean")
    return streamed


def _refuse_double_meaning(raw: bytes) -> None:
    """A field given twice is read differently by different parsers: admitted at one price, served at another."""
    if b"\\u00" not in raw and all(raw.count(b'"%b"' % name.encode()) <= 1 for name in _DECISIVE):
        return
    try:
        json.loads(raw, object_pairs_hook=_without_repeats)
    except RecursionError:
        raise ModelApiError(400, "The request body is nested too deeply") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    for decisive in _DECISIVE:
        if names.count(decisive) > 1:
            raise ModelApiError(400, f"{decisive}: the field is given more than once")

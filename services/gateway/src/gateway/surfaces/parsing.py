"""Reading a request body: strict about what decides the price, tolerant of all else."""

import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import orjson

from gateway.errors import ModelApiError
from gateway.surfaces.splice import repeats_a_name
from rating.usage import MAX_QUANTITY

_MOST_MODEL_CHARS: Final = 256
# Naming the field is not worth more of everybody's time.
_MOST_SEARCHED_BYTES: Final = 1 << 16


def parse_object(raw: bytes) -> dict[str, Any]:
    """Refuses a name given twice: parsers differ in which they take, so admitted at one price, served at another."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        # The decoder's message names the position; it quotes nothing of the body.
        raise ModelApiError(400, f"The request body is not valid JSON: {error.msg}") from None
    if type(body) is not dict:
        raise ModelApiError(400, "The request body must be a JSON object")
    try:
        repeats = repeats_a_name(raw, body)
    except orjson.JSONEncodeError:
        raise ModelApiError(400, "The request body is nested too deeply") from None
    if repeats:
        _refuse_repeated(raw)
    return body


def named_model(body: Mapping[str, Any]) -> str:
    model = body.get("model")
    if type(model) is str and 1 <= len(model) <= _MOST_MODEL_CHARS:
        return model
    if model is None:
        raise ModelApiError(400, "model: Field required")
    raise ModelApiError(400, "model: Input should be a string of 1 to 256 characters")


def count_of(body: Mapping[str, Any], name: str, *, least: int = 0, most: int = MAX_QUANTITY) -> int | None:
    """A count that the body names; null is as good as nothing."""
    value = body.get(name)
    if value is None:
        return None
    if type(value) is not int:
        raise ModelApiError(400, f"{name}: Input should be a valid integer")
    if not least <= value <= most:
        raise ModelApiError(400, f"{name}: Input should be between {least} and {most}")
    return value


def flag_of(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name, False)
    if value is True or value is False:
        return value
    if value is None:
        return False
    raise ModelApiError(400, f"{name}: Input should be a valid boolean")


def text_of(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None or type(value) is str:
        return value
    raise ModelApiError(400, f"{name}: Input should be a valid string")


def _refuse_repeated(raw: bytes) -> NoReturn:
    if len(raw) <= _MOST_SEARCHED_BYTES:
        json.loads(raw, object_pairs_hook=_without_repeats)
    raise ModelApiError(400, "A field of the request body is given more than once")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ModelApiError(400, f"{repeated[:80]}: the field is given more than once")
    return members

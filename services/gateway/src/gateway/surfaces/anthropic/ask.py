"""The body of `POST /v1/messages`, as far as it must be understood; it is read, never written."""

from typing import Final

from gateway.errors import ModelApiError
from gateway.surfaces.parsing import count_of, flag_of, named_model, parse_object
from gateway.surfaces.types import Ask

# What passes unread may be spelled in any way; what the price hangs on may not.
_ONLY_TEXT: Final = ("speed", "inference_geo", "service_tier")


def parse_ask(raw: bytes) -> Ask:
    """Raises `ModelApiError` naming the field that keeps the call from being priced."""
    body = parse_object(raw)
    max_tokens = count_of(body, "max_tokens")
    if max_tokens is None:
        raise ModelApiError(400, "max_tokens: Field required")
    for name in _ONLY_TEXT:
        if name in body and not isinstance(body[name], str | None):
            raise ModelApiError(400, f"{name}: Input should be a valid string")
    return Ask(raw, body, named_model(body), max_tokens, flag_of(body, "stream"))

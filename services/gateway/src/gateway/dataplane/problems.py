"""Refusals that the front gives itself, in the words that the asked path speaks."""

from http import HTTPStatus
from typing import Final

import orjson

from gateway.dataplane.exchange import Exchange
from gateway.errors import ModelApiError

_CODES: Final = {
    400: "bad_request",
    408: "body_too_slow",
    413: "body_too_large",
    503: "unavailable",
}


def refusal(status: int, message: str, *, retry_after_s: int | None = None) -> ModelApiError:
    """An error of the front, which knows statuses that the model API has no type for."""
    headers = {"retry-after": str(retry_after_s)} if retry_after_s is not None else {}
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["allow"] = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    if status in {408, 413, 503}:
        return ModelApiError(status, message, headers=headers)
    return ModelApiError(status, message, error_type="invalid_request_error", headers=headers)


def answer_problem(exchange: Exchange, error: ModelApiError) -> None:
    """RFC 9457, as all routes of the ASGI app answer."""
    problem = {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "code": _CODES.get(error.status, "http_error"),
        "detail": error.message,
        "request_id": exchange.request_id,
    }
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"request-id", exchange.request_id.encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *((name.encode(), value.encode()) for name, value in error.headers.items()),
    ]
    exchange.answer(error.status, headers, orjson.dumps(problem))

"""What can go wrong on a model route, in the words and the envelope of the vendor whose surface was asked."""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import orjson

Envelope = Literal["anthropic", "openai", "openai-responses"]

_TYPES: Final[Mapping[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    500: "api_error",
    501: "api_error",
    502: "api_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# OpenAI's words for ours: type and code.
_OPENAI: Final[Mapping[str, tuple[str, str | None]]] = {
    "authentication_error": ("invalid_request_error", "invalid_api_key"),
    "billing_error": ("insufficient_quota", "insufficient_quota"),
    "not_found_error": ("invalid_request_error", "model_not_found"),
    "rate_limit_error": ("requests", "rate_limit_exceeded"),
    "overloaded_error": ("server_error", "server_overloaded"),
    "api_error": ("server_error", None),
    "timeout_error": ("server_error", "timeout"),
}
_FIELD: Final = re.compile(r"[a-z_]+(\.[a-z0-9_]+)*")


class ModelApiError(Exception):
    """An answer that the gateway gives itself; `extra` joins `error`, `headers` the head.

    `envelope` is the shape of the surface that was asked; `openai_type` and `openai_code` replace what `error_type`
    becomes there.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        error_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.error_type = error_type or _TYPES[status]
        self.envelope: Envelope = "anthropic"
        self.openai_type: str | None = None
        self.openai_code: str | None = None
        # Both official SDKs obey this before anything else; what time does not mend must not be retried.
        should_retry = "true" if status >= 500 or status in {408, 429} else "false"
        self.headers = {"x-should-retry": should_retry, **(headers or {})}
        self.extra = dict(extra or {})

    def body(self, request_id: str) -> bytes:
        if self.envelope != "anthropic":
            return orjson.dumps({"error": self._openai(), "request_id": request_id})
        error = {"type": self.error_type, "message": self.message, **self.extra}
        return orjson.dumps({"type": "error", "error": error, "request_id": request_id})

    def event(self, request_id: str) -> bytes:
        """The same as an event that ends a stream."""
        if self.envelope == "openai":
            return b"data: " + self.body(request_id) + b"\n\n"
        if self.envelope == "openai-responses":
            error = self._openai()
            # The official SDK raises for `error`; other clients read the members of the event itself.
            event = {**error, "type": "error", "sequence_number": 0, "error": error, "request_id": request_id}
            return b"event: error\ndata: " + orjson.dumps(event) + b"\n\n"
        return b"event: error\ndata: " + self.body(request_id) + b"\n\n"

    def _openai(self) -> dict[str, Any]:
        kind, code = _OPENAI.get(self.error_type, (self.error_type, None))
        return {
            "message": self.message,
            "type": self.openai_type or kind,
            "param": self._param(),
            "code": self.openai_code or code,
            **self.extra,
        }

    def _param(self) -> str | None:
        """The field that is at fault: what the message begins with."""
        name, colon, _ = self.message.partition(": ")
        return name if colon and self.status in {400, 404} and _FIELD.fullmatch(name) else None


def unavailable(message: str, *, retry_after_s: int = 1) -> ModelApiError:
    """Our own fault, for now."""
    return ModelApiError(503, message, headers={"retry-after": str(retry_after_s)})


def overloaded(message: str, *, retry_after_s: int = 1) -> ModelApiError:
    """The provider cannot be reached."""
    return ModelApiError(529, message, headers={"retry-after": str(retry_after_s)})

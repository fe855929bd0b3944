"""What can go wrong on the model route, in the provider's words for it."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

_TYPES: Final[Mapping[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "request_too_large",
    500: "api_error",
    502: "api_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class ModelApiError(Exception):
    """An answer that the gateway gives itself, in Anthropic's envelope; `extra` joins `error`, `headers` the head."""

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
        # Both official SDKs obey this before anything else; what time does not mend must not be retried.
        should_retry = "true" if status >= 500 or status == 408 else "false"
        self.headers = {"x-should-retry": should_retry, **(headers or {})}
        self.extra = dict(extra or {})

    def body(self, request_id: str) -> bytes:
        error = {"type": self.error_type, "message": self.message, **self.extra}
        return orjson.dumps({"type": "error", "error": error, "request_id": request_id})

    def event(self, request_id: str) -> bytes:
        """The same as an event that ends a stream."""
        return b"event: error\ndata: " + self.body(request_id) + b"\n\n"


def unavailable(message: str, *, retry_after_s: int = 1) -> ModelApiError:
    """Our own fault, for now."""
    return ModelApiError(503, message, headers={"retry-after": str(retry_after_s)})


def overloaded(message: str, *, retry_after_s: int = 1) -> ModelApiError:
    """The provider cannot be reached."""
    return ModelApiError(529, message, headers={"retry-after": str(retry_after_s)})

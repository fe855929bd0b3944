"""The provider's error envelope."""

from collections.abc import Mapping

import orjson

ERROR_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}

MESSAGES: Mapping[int, str] = {
    400: "messages: the sandbox was asked to refuse this request",
    401: "invalid x-api-key",
    402: "Your credit balance is too low to access the API.",
    403: "Your API key does not have permission to use the specified resource.",
    404: "Not found",
    405: "Method Not Allowed",
    409: "The request conflicts with the current state of the resource.",
    413: "Request exceeds the maximum size",
    429: "This request would exceed your organization's rate limit. Please try again later.",
    500: "Internal server error",
    504: "The request timed out. Please try again.",
    529: "Overloaded",
}

STATUS_OF: Mapping[str, int] = {name: status for status, name in ERROR_TYPES.items() if status != 405}


class ApiError(Exception):
    """A request that is answered with an error; the status decides the error's type."""

    def __init__(self, status: int, message: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.message = message or MESSAGES[status]
        self.headers = headers or {}

    def envelope(self, request_id: str) -> bytes:
        return envelope(ERROR_TYPES[self.status], message=self.message, request_id=request_id)


def envelope(kind: str, *, message: str, request_id: str) -> bytes:
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id})

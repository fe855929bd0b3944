"""OpenAI's error envelope and headers."""

from collections.abc import Mapping

import orjson

from sandbox.provider.errors import ApiError

_KINDS: Mapping[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    402: ("insufficient_quota", "insufficient_quota"),
    403: ("invalid_request_error", "model_not_allowed"),
    404: ("invalid_request_error", "model_not_found"),
    405: ("invalid_request_error", None),
    409: ("conflict_error", None),
    413: ("invalid_request_error", None),
    429: ("tokens", "rate_limit_exceeded"),
    500: ("server_error", None),
    504: ("timeout_error", None),
    529: ("server_error", "overloaded"),
}


class OpenAIError(ApiError):
    """An error in OpenAI's envelope; `param` names the wrong field."""

    def __init__(
        self, status: int, message: str = "", *, param: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, message, headers=headers)
        self.param = param

    def envelope(self, request_id: str) -> bytes:
        kind, code = _KINDS[self.status]
        return orjson.dumps({"error": {"message": self.message, "type": kind, "param": self.param, "code": code}})


def as_openai(error: ApiError) -> OpenAIError:
    """What the shared parts complain about, in OpenAI's words for it."""
    if isinstance(error, OpenAIError):
        return error
    message = (
        f"The model `{error.message[7:]}` does not exist" if error.message.startswith("model: ") else error.message
    )
    return OpenAIError(error.status, message, headers=error.headers)


def headers_of(request_id: str) -> dict[str, str]:
    """What stands on every answer."""
    return {
        "x-request-id": request_id,
        "openai-organization": "org-sandbox",
        "openai-processing-ms": "1",
        "openai-version": "2020-10-01",
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-limit-tokens": "2000000",
        "x-ratelimit-remaining-requests": "9999",
        "x-ratelimit-remaining-tokens": "1999000",
        "x-ratelimit-reset-requests": "6ms",
        "x-ratelimit-reset-tokens": "30ms",
    }

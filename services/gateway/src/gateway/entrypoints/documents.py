"""The OpenAPI description of the model API, which FastAPI does not serve."""

from typing import Any, Final

from fastapi import FastAPI

_ERROR: Final = {
    "type": "object",
    "required": ["type", "error", "request_id"],
    "properties": {
        "type": {"const": "error"},
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {
                "type": {"type": "string"},
                "message": {"type": "string"},
                "balance": {"type": "string", "description": "credits left; with 402 only"},
                "required": {"type": "string", "description": "credits that the call may need; with 402 only"},
                "upgrade_url": {"type": "string", "format": "uri"},
            },
        },
        "request_id": {"type": "string"},
    },
}
_ASKED: Final[dict[str, Any]] = {
    "model": {"type": "string"},
    "messages": {"type": "array", "items": {"type": "object"}},
}
_CALL: Final[dict[str, Any]] = {
    **_ASKED,
    "max_tokens": {"type": "integer", "minimum": 0},
    "stream": {"type": "boolean", "default": False},
}
_REASONS: Final = {
    "400": "The call cannot be priced; the message names the field",
    "401": "The credential is bad",
    "402": "Too few credits",
    "403": "The account is frozen or closed",
    "404": "The model is not sold",
    "405": "Wrong method",
    "413": "The body is larger than 32 MB",
    "503": "The call cannot be admitted or recorded now",
    "529": "The provider does not answer",
}


def describe_model_api(app: FastAPI) -> None:
    """Add the model routes to the app's OpenAPI document."""
    describe = app.openapi

    def with_model_api() -> dict[str, Any]:
        schema = describe()
        schema["paths"].update(_paths())
        schema.setdefault("components", {})["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer", "description": "an access token or an API key"},
            "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        }
        return schema

    app.openapi = with_model_api  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _paths() -> dict[str, Any]:
    return {
        "/v1/messages": {"post": _operation("Call a model", operation_id="create_message", body=_CALL, stream=True)},
        "/v1/messages/count_tokens": {
            "post": _operation("Count input tokens, free", operation_id="count", body=_ASKED)
        },
        "/v1/models": {"get": _operation("The models that are sold", operation_id="list_models")},
        "/v1/models/{model_id}": {
            "get": {
                **_operation("One model that is sold", operation_id="get_model"),
                "parameters": [{"name": "model_id", "in": "path", "required": True, "schema": {"type": "string"}}],
            }
        },
    }


def _operation(
    summary: str, *, operation_id: str, body: dict[str, Any] | None = None, stream: bool = False
) -> dict[str, Any]:
    answers: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}
    if stream:
        answers["text/event-stream"] = {"schema": {"type": "string"}}
    error = {"application/json": {"schema": _ERROR}}
    return {
        "tags": ["models"],
        "summary": summary,
        "operationId": operation_id,
        "security": [{"bearer": []}, {"key": []}],
        **({"requestBody": _body(body)} if body else {}),
        "responses": {
            "200": {"description": "As the provider answered", "content": answers},
            **{status: {"description": reason, "content": error} for status, reason in _REASONS.items()},
        },
    }


def _body(properties: dict[str, Any]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "description": "As the provider documents it; passed on byte for byte.",
        "required": [name for name, shape in properties.items() if "default" not in shape],
        "properties": properties,
        "additionalProperties": True,
    }
    return {"required": True, "content": {"application/json": {"schema": schema}}}

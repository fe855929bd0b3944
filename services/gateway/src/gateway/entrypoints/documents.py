"""The OpenAPI description of the model API, which FastAPI does not serve."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import FastAPI

from gateway.entrypoints import document_schemas as shapes
from gateway.entrypoints.document_schemas import Shape

_TAKEN: Final = {
    "200": "The answer",
    "400": "The call cannot be priced, or the plan does not allow so much; the message names the field",
    "401": "The credential is bad",
    "402": "Too few credits, or the plan's allowance is used up",
    "403": "The account is frozen or closed, or the key may not do this",
    "404": "The model is not sold, or not part of the plan",
    "405": "Wrong method",
    "408": "The request came too slowly",
    "413": "The body is larger than 32 MB",
    "429": "A rate or concurrency limit of the plan, or a budget that the customer set",
    "500": "Something went wrong, with us or in mid-answer",
    "503": "The call cannot be admitted or recorded now",
    "529": "The provider does not answer",
}
_FREE: Final = {code: reason for code, reason in _TAKEN.items() if code not in {"402", "403"}} | {
    "403": "The key may not do this"
}
_HEADERS: Final[Mapping[str, str]] = {
    "faregate-request-id": "The call's id, as in usage and statements",
    "faregate-estimated-cost": "Credits that were reserved at first",
    "faregate-balance": "Credits that are left beside the reservation, to those who may read it",
    "faregate-near-limit": "`true` when the plan's rules near its limit hold",
    "anthropic-ratelimit-requests-remaining": "With -limit and -reset, for requests, tokens and input-tokens; the "
    "OpenAI surfaces say x-ratelimit-*",
    "anthropic-ratelimit-unified-status": "The used share of the allowance: allowed, allowed_warning from 75 % on, "
    "rejected",
}

_MAY_BE_EMPTY: Final = frozenset({"/api/v1/llm/test"})


@dataclass(frozen=True, slots=True)
class _Route:
    path: str
    operation_id: str
    summary: str
    body: Shape | None = None
    answer: Shape = field(default_factory=lambda: shapes.ANSWER)
    events: str | None = None
    is_only_events: bool = False
    method: str = "post"
    speaks_openai: bool = False
    is_paid: bool = True
    tag: str = "models"


_ANTHROPIC_EVENTS: Final = "The provider's events untouched; `error` instead of an end that did not come"
_ROUTES: Final = (
    _Route("/v1/messages", "create_message", "Call a model", shapes.MESSAGES, events=_ANTHROPIC_EVENTS),
    _Route("/v1/messages/count_tokens", "count", "Count input tokens, free", shapes.COUNT, is_paid=False),
    _Route(
        "/v1/chat/completions",
        "create_chat_completion",
        "Call a model in OpenAI's words",
        shapes.CHAT,
        events="The provider's chunks untouched; the usage chunk only where it was asked for",
        speaks_openai=True,
    ),
    _Route(
        "/v1/responses",
        "create_response",
        "Call a model by OpenAI's responses; tools that the provider runs, background and stored prompts are refused",
        shapes.RESPONSES,
        events="The provider's events untouched",
        speaks_openai=True,
    ),
    _Route("/v1/embeddings", "create_embedding", "Embed texts", shapes.EMBEDDINGS, speaks_openai=True),
    _Route(
        "/v1/models",
        "list_models",
        "The models of the caller's plan, in both vendors' shape",
        answer=shapes.MODEL_LIST,
        method="get",
        is_paid=False,
    ),
    _Route(
        "/v1/models/{model_id}",
        "get_model",
        "One model of the caller's plan",
        answer=shapes.MODEL_ENTRY,
        method="get",
        is_paid=False,
    ),
    _Route(
        "/api/claude/stream",
        "stream_claude",
        "Messages, perhaps with an image; always streamed",
        shapes.CLAUDE_STREAM,
        events="Anthropic's events, then one `usage` event with tokens, `charge` and `balance`",
        is_only_events=True,
        tag="older clients",
    ),
    _Route(
        "/api/v1/llm/invoke",
        "invoke",
        "A prompt or messages in, one answer out",
        shapes.INVOKE,
        answer=shapes.alias_answer("content"),
        tag="older clients",
    ),
    _Route(
        "/api/v1/llm/test",
        "try_out",
        "A small paid call",
        shapes.INVOKE,
        answer=shapes.alias_answer("content"),
        tag="older clients",
    ),
    _Route(
        "/generate",
        "generate",
        "A prompt in, a text out; one request unit",
        shapes.GENERATE,
        answer=shapes.alias_answer("text"),
        tag="older clients",
    ),
)


def describe_model_api(app: FastAPI) -> None:
    """Add the model routes to the app's OpenAPI document."""
    describe = app.openapi

    def with_model_api() -> dict[str, Any]:
        schema = describe()
        for route in _ROUTES:
            schema["paths"].setdefault(route.path, {})[route.method] = _operation(route)
        schema.setdefault("components", {})["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer", "description": "an access token or an API key"},
            "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        }
        return schema

    app.openapi = with_model_api  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _operation(route: _Route) -> Shape:
    operation: Shape = {
        "tags": [route.tag],
        "summary": route.summary,
        "operationId": route.operation_id,
        "security": [{"bearer": []}, {"key": []}],
        "responses": _responses(route),
    }
    if route.body is not None:
        operation["requestBody"] = {
            "required": route.path not in _MAY_BE_EMPTY,
            "content": {"application/json": {"schema": route.body}},
        }
    if "{model_id}" in route.path:
        operation["parameters"] = [{"name": "model_id", "in": "path", "required": True, "schema": shapes.MODEL}]
    return operation


def _responses(route: _Route) -> Shape:
    envelope = shapes.OPENAI_ERROR if route.speaks_openai else shapes.ANTHROPIC_ERROR
    error = {"application/json": {"schema": envelope}}
    reasons = _TAKEN if route.is_paid else _FREE
    responses: Shape = {code: {"description": reason, "content": error} for code, reason in reasons.items()}
    responses["200"] = {"description": "As the provider answered", "content": _answers(route)}
    if route.is_paid:
        responses["200"]["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in _HEADERS.items()
        }
    return responses


def _answers(route: _Route) -> Shape:
    answers: Shape = {} if route.is_only_events else {"application/json": {"schema": route.answer}}
    if route.events is not None:
        answers["text/event-stream"] = {"schema": {"type": "string", "description": route.events}}
    return answers

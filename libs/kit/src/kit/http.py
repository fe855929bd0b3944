"""What every HTTP surface shares: RFC 9457 problems, strict models, limits, ids, metrics, health."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Final
from uuid import uuid4

from fastapi import APIRouter, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, field_validator
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kit import logging, metrics
from kit.errors import DomainError, Kind
from kit.health import Health

log = logging.get(__name__)

MAX_BODY_BYTES: Final = 1 << 20
PROBLEM_TYPE: Final = "application/problem+json"
_PROBLEM_SCHEMA: Final = {"schema": {"$ref": "#/components/schemas/Problem"}}
STATUS: Final[Mapping[Kind, int]] = {
    "invalid": 422,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "rejected": 422,
    "payment": 402,
    "too_many": 429,
    "unavailable": 503,
}
_TITLES: Final = {
    400: "Bad request",
    401: "Not signed in",
    402: "Payment required",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Body too large",
    415: "Unsupported media type",
    422: "Invalid request",
    429: "Too many requests",
    500: "Internal error",
    503: "Unavailable",
}
_CODES: Final = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}

IdempotencyKey = Annotated[
    str, Header(alias="Idempotency-Key", min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")
]


class RequestModel(BaseModel):
    """A request's body: unknown fields are refused, and so are NUL characters, which PostgreSQL cannot store."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @field_validator("*")
    @classmethod
    def _without_nul(cls, value: Any) -> Any:
        if isinstance(value, str) and "\x00" in value:
            raise ValueError("must not contain NUL characters")
        return value


class ResponseModel(BaseModel):
    """An answer's body."""

    model_config = ConfigDict(frozen=True)


class Problem(BaseModel):
    """RFC 9457 problem details with a stable `code`; `errors` names each wrong field and the reason."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    request_id: str | None = None
    errors: list[dict[str, str]] | None = None


def problem(
    request: Request,
    status: int,
    code: str,
    detail: str,
    *,
    errors: list[dict[str, str]] | None = None,
    extra: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem answer."""
    body = Problem(
        title=_TITLES.get(status, "Error"),
        status=status,
        code=code,
        detail=detail,
        request_id=request.scope.get("state", {}).get("request_id"),
        errors=errors,
    ).model_dump(exclude_none=True)
    return JSONResponse({**body, **(extra or {})}, status, dict(headers or {}), PROBLEM_TYPE)


def create_app(
    *,
    service: str,
    title: str,
    routers: Sequence[APIRouter],
    health: Health,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    max_body_bytes: int = MAX_BODY_BYTES,
) -> FastAPI:
    """A service's HTTP app: its routers, health and metrics, problems for every error, limits on bodies.

    What a database raises is for whoever has one (`kit.service`).
    """
    app = FastAPI(
        title=title,
        version="0.1.0",
        lifespan=lifespan,
        openapi_url=f"/{service}/openapi.json",
        docs_url=f"/{service}/docs",
        redoc_url=None,
        # A redirect would name this service's own address, behind the gateway's.
        redirect_slashes=False,
        responses={"default": {"model": Problem, "description": "RFC 9457 problem details"}},
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.add_exception_handler(DomainError, _on_domain_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    for away in (TimeoutError, OSError):
        app.add_exception_handler(away, on_dependency_error)
    app.add_exception_handler(Exception, on_unexpected_error)
    app.add_middleware(BodyLimit, most=max_body_bytes)
    app.add_middleware(Observed, service=service)
    app.include_router(health.router())
    for router in routers:
        app.include_router(router)
    _describe_problems(app)
    return app


def _describe_problems(app: FastAPI) -> None:
    """FastAPI describes every error as plain JSON; what is sent is `application/problem+json`."""
    describe = app.openapi

    def with_problems() -> dict[str, Any]:
        schema = describe()
        for operations in schema["paths"].values():
            for operation in operations.values():
                for status, response in operation["responses"].items():
                    if not status.startswith(("2", "3")):
                        response.setdefault("content", {PROBLEM_TYPE: _PROBLEM_SCHEMA})
                        _as_problem(response["content"])
        return schema

    app.openapi = with_problems  # type: ignore[method-assign]  # FastAPI's documented way to change the document


def _as_problem(content: dict[str, Any]) -> None:
    if content.get("application/json") == _PROBLEM_SCHEMA:
        del content["application/json"]
        content[PROBLEM_TYPE] = _PROBLEM_SCHEMA


class BodyLimit:
    """Refuses bodies over the limit as a problem; Starlette's own limit answers in plain text."""

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        detail = f"The body is larger than {self._most} bytes."
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._most:
            await problem(Request(scope), 413, "body_too_large", detail)(scope, receive, send)
            return
        received = 0

        async def counting() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._most:
                raise HTTPException(413, detail)
            return message

        await self._app(scope, counting, send)


class Observed:
    """Gives each request an id, measures it, and adds the headers that every answer carries."""

    def __init__(self, app: ASGIApp, *, service: str) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{uuid4().hex}"
        scope.setdefault("state", {})["request_id"] = request_id
        began, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [
                    (b"request-id", request_id.encode()),
                    (b"cache-control", b"no-store"),
                    (b"x-content-type-options", b"nosniff"),
                ]
                # What the answer says itself stands: one that was forwarded has been through here before.
                given = {name.lower() for name, _ in message.get("headers", [])}
                message["headers"] = [*message.get("headers", []), *(pair for pair in own if pair[0] not in given)]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            metrics.REQUEST_SECONDS.labels(route, scope["method"], str(status)).observe(time.perf_counter() - began)


async def _on_domain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)
    status = STATUS[error.kind]
    headers = {"retry-after": str(error.retry_after_s)} if error.retry_after_s is not None else {}
    if status == 401:
        headers |= {"www-authenticate": "Bearer", "x-should-retry": "false"}
    errors = [{"field": error.field, "reason": error.detail}] if error.field else None
    return problem(request, status, error.code, error.detail, errors=errors, extra=error.extra, headers=headers)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if any(one["type"] == "json_invalid" for one in error.errors()):
        return problem(request, 400, "invalid_json", "The body is not valid JSON.")
    errors = [{"field": _field(one["loc"]), "reason": str(one["msg"])} for one in error.errors()]
    named = "; ".join(f"{one['field']}: {one['reason']}" for one in errors[:5])
    return problem(request, 422, "invalid_request", named, errors=errors)


def _field(location: Sequence[str | int]) -> str:
    parts = [str(part) for part in location if part not in ("body", "query", "path", "header")]
    return ".".join(parts) or str(location[0] if location else "body")


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "http_error")
    return problem(request, error.status_code, code, str(error.detail), headers=error.headers)


def _route(request: Request) -> str | None:
    return getattr(request.scope.get("route"), "path", None)


async def on_dependency_error(request: Request, error: Exception) -> Response:
    """503: worth another try."""
    log.warning("kit.request_unavailable", route=_route(request), kind=type(error).__name__)
    detail = "A part that this needs does not answer; try again."
    return problem(request, 503, "unavailable", detail, headers={"retry-after": "1"})


async def on_unexpected_error(request: Request, error: Exception) -> Response:
    """500, with the reason in the log alone."""
    log.error("kit.request_failed", route=_route(request), kind=type(error).__name__)
    return problem(request, 500, "internal_error", "Something went wrong on our side; it has been recorded.")

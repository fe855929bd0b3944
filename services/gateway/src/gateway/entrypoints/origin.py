"""The front page, the probe that clients send, and what is not found."""

import html
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from gateway.errors import ModelApiError
from kit.http import ResponseModel

_ABOUT: Final = "Access to language models, sold by the call. Point an Anthropic client at this address."
_DOCUMENTS: Final = {
    "model API": "/gateway/docs",
    "sign-in": "/auth/docs",
    "credits and charges": "/ledger/docs",
    "offers and payments": "/billing/docs",
    "notifications": "/notifier/docs",
}


class Origin(ResponseModel):
    """What this address is."""

    name: str
    about: str
    environment: str
    sandboxed: dict[str, str]
    documents: dict[str, str]
    start: dict[str, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """Which parts are real here."""

    environment: str
    public_url: str
    provider_is_real: bool


def build_router(standing: Standing) -> APIRouter:
    router = APIRouter(tags=["origin"])

    @router.get(
        "/",
        summary="What this is, and which parts are sandboxed",
        response_model=Origin,
        responses={200: {"content": {"text/html": {}}}},
    )
    async def origin(request: Request) -> Response:
        about = _origin(standing)
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(_page(about))
        return JSONResponse(about.model_dump())

    @router.head("/", include_in_schema=False)
    @router.head("/api/hello", include_in_schema=False)
    @router.get("/api/hello", summary="A sign of life for clients that probe")
    async def hello() -> dict[str, str]:
        return {"message": "hello"}

    return router


def model_api_error(request: Request, *, status: int, message: str) -> Response:
    """An answer in the provider's envelope, which clients expect below `/v1/`."""
    error = ModelApiError(status, message)
    request_id = request.scope.get("state", {}).get("request_id", "")
    headers = {"faregate-request-id": request_id, **error.headers}
    return Response(error.body(request_id), status, headers, "application/json")


def _origin(standing: Standing) -> Origin:
    return Origin(
        name="Faregate",
        about=_ABOUT,
        environment=standing.environment,
        sandboxed=_sandboxed(standing),
        documents={name: f"{standing.public_url}{path}" for name, path in _DOCUMENTS.items()},
        start={
            "sign up": f"POST {standing.public_url}/auth/register",
            "log in": f"POST {standing.public_url}/auth/login",
            "call a model": f"POST {standing.public_url}/v1/messages",
            "see the offers": f"GET {standing.public_url}/billing/offers",
        },
    )


def _sandboxed(standing: Standing) -> dict[str, str]:
    parts = {}
    if not standing.provider_is_real:
        parts["models"] = "answers come from a stand-in for the model provider; no model runs"
    if standing.environment == "sandbox":
        parts["payments"] = "the Stripe stand-in or Stripe's test mode; no money moves"
        parts["mail"] = "all mail goes to the sandbox's own mailbox"
    return parts


def _page(about: Origin) -> str:
    def items(entries: dict[str, str], *, linked: bool) -> str:
        shown = (
            f'<li>{html.escape(name)}: <a href="{html.escape(text)}">{html.escape(text)}</a></li>'
            if linked
            else f"<li><b>{html.escape(name)}</b>: {html.escape(text)}</li>"
            for name, text in entries.items()
        )
        return "".join(shown)

    sandboxed = f"<h2>Sandboxed here</h2><ul>{items(about.sandboxed, linked=False)}</ul>" if about.sandboxed else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<title>Faregate</title><style>body{font:16px/1.5 system-ui;max-width:44rem;margin:3rem auto;padding:0 1rem}"
        f"</style><h1>Faregate</h1><p>{html.escape(about.about)}</p>{sandboxed}"
        f"<h2>Documentation</h2><ul>{items(about.documents, linked=True)}</ul>"
        f"<h2>Start</h2><ul>{items(about.start, linked=False)}</ul></html>"
    )

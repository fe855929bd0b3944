"""The composition root: the model API on the protocol, FastAPI for everything else; only it reads settings."""

from typing import Any, Final

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from gateway import composition
from gateway.adapters.auth import KeyResolver, Rechecker
from gateway.admission.types import SnapshotSource
from gateway.dataplane.cors import allow_origins
from gateway.dataplane.front import ModelRoutes
from gateway.dataplane.table import in_envelope
from gateway.entrypoints import documents, origin
from gateway.process import SERVICE, Gateway
from gateway.settings import Settings
from kit.http import create_app as create_http_app
from kit.tokens import KeySource

_IN_THE_PROVIDERS_WORDS: Final = ("/v1/", "/api/", "/generate")
_IN_OURS: Final = ("/v1/requests", "/api/v1/llm/providers", "/api/auth/")


def create_app(
    settings: Settings,
    *,
    keys: KeySource | None = None,
    resolver: KeyResolver | None = None,
    rechecker: Rechecker | None = None,
    ledger: SnapshotSource | None = None,
) -> FastAPI:
    """The gateway's app; `app.state.protocol` is what uvicorn has to serve connections with."""
    gateway = Gateway(settings, keys=keys, resolver=resolver, rechecker=rechecker, ledger=ledger)
    services = {
        "auth": settings.auth_url,
        "billing": settings.billing_url,
        "ledger": settings.ledger_url,
        "notifier": settings.notifier_url,
    }
    served, serving = composition.surfaces(), settings.serving()
    app = create_http_app(
        service=SERVICE,
        title="Faregate gateway",
        routers=composition.routers(gateway, served, services=services),
        health=gateway.health(),
        lifespan=gateway.running,
        # The protocol has bounded them before, path by path.
        max_body_bytes=max(serving.front.model_body_bytes, serving.front.app_body_bytes),
    )
    _answer_in_the_providers_words(app)
    documents.describe_model_api(app)
    app.state.gateway = gateway
    app.state.identity = gateway.identity
    app.state.services = services
    app.state.protocol = serving.protocol(ModelRoutes(composition.model_table(gateway, served), envelope=in_envelope))
    allow_origins(app, serving.cors_origins)
    return app


def _answer_in_the_providers_words(app: FastAPI) -> None:
    ordinary: Any = app.exception_handlers[HTTPException]

    async def on_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        path = request.url.path
        # Calls are listed by the ledger, whose errors are problems like those of every other service.
        in_words = path.startswith(_IN_THE_PROVIDERS_WORDS) and not path.startswith(_IN_OURS)
        if in_words and error.status_code in {404, 405}:
            return origin.model_api_error(request, status=error.status_code, message=str(error.detail))
        answer: Response = await ordinary(request, error)
        return answer

    app.add_exception_handler(HTTPException, on_http_error)

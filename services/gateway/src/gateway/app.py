"""The composition root: the model API on the protocol, FastAPI for everything else; only it reads settings."""

from typing import Any

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
    served = composition.surfaces()
    app = create_http_app(
        service=SERVICE,
        title="Faregate gateway",
        routers=composition.routers(gateway, served, services=services),
        health=gateway.health(),
        lifespan=gateway.running,
    )
    _answer_in_the_providers_words(app)
    documents.describe_model_api(app)
    app.state.gateway = gateway
    app.state.identity = gateway.identity
    app.state.services = services
    serving = settings.serving()
    app.state.protocol = serving.protocol(ModelRoutes(composition.model_table(gateway, served), envelope=in_envelope))
    allow_origins(app, serving.cors_origins)
    return app


def _answer_in_the_providers_words(app: FastAPI) -> None:
    ordinary: Any = app.exception_handlers[HTTPException]

    async def on_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        path = request.url.path
        # Calls are listed by the ledger, whose errors are problems like those of every other service.
        if path.startswith("/v1/") and not path.startswith("/v1/requests") and error.status_code in {404, 405}:
            return origin.model_api_error(request, status=error.status_code, message=str(error.detail))
        answer: Response = await ordinary(request, error)
        return answer

    app.add_exception_handler(HTTPException, on_http_error)

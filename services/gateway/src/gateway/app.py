"""The composition root: the only place that reads settings and knows all parts."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp

from contracts.auth import ApiKeyChanged, MemberChanged, SessionRevoked, UserChanged
from contracts.ledger import PriceBookPublished
from gateway.adapters.auth import AuthKeyResolver, KeyResolver
from gateway.adapters.ledger import LedgerSnapshots
from gateway.adapters.services import Services
from gateway.admission.balances import BalanceReader
from gateway.admission.caller import Admission
from gateway.admission.connection import RedisConnection
from gateway.admission.sweeper import Sweeper
from gateway.admission.types import SnapshotSource
from gateway.catalog.prices import PriceBooks
from gateway.dataplane.call import CallParts
from gateway.dataplane.free import FreeRoutes
from gateway.dataplane.messages import MessagesRoute
from gateway.dataplane.open_calls import OpenCalls
from gateway.dataplane.routes import ModelApi, routes_of
from gateway.dataplane.upstream import Upstream
from gateway.entrypoints import documents, forward, origin
from gateway.identity.api_keys import ApiKeys
from gateway.identity.credentials import Credentials
from gateway.settings import Settings
from gateway.usage.publisher import UsagePublisher
from kit.clock import Clock
from kit.health import Check, Health
from kit.http import create_app as create_http_app
from kit.identity import Revocations, ServiceTokens
from kit.producer import Producer
from kit.state import StateReader
from kit.tasks import Tasks
from kit.tokens import JwksClient, KeySource, TokenVerifier

SERVICE = "gateway"


class Gateway:
    """All parts of one gateway process, built once; tests hand in other outside parties."""

    def __init__(
        self,
        settings: Settings,
        *,
        keys: KeySource | None = None,
        resolver: KeyResolver | None = None,
        ledger: SnapshotSource | None = None,
    ) -> None:
        self.settings = settings
        self.clock: Clock = settings.clock()
        self.tasks = Tasks()
        self.http = httpx2.AsyncClient(timeout=5.0, follow_redirects=False)
        self.services = Services()
        self.calls = OpenCalls()
        self.prices = PriceBooks()
        self.producer = Producer(settings.kafka_bootstrap, client_id=settings.instance)
        self.publisher = UsagePublisher(self.producer, clock=self.clock, instance=settings.instance)
        self.upstream = Upstream(settings.anthropic_base_url, api_key=settings.anthropic_api_key.get_secret_value())
        tokens = self._service_tokens()
        self._build_identity(keys, resolver or AuthKeyResolver(settings.auth_url, http=self.http, tokens=tokens))
        self._build_admission(
            ledger or LedgerSnapshots(base_url=settings.ledger_url, http=self.http, tokens=tokens, clock=self.clock)
        )
        self.state = self._state_reader()

    def _service_tokens(self) -> ServiceTokens:
        return ServiceTokens(
            service=SERVICE,
            secret=self.settings.service_secret.get_secret_value(),
            auth_url=self.settings.auth_url,
            http=self.http,
            clock=self.clock,
        )

    def _build_identity(self, keys: KeySource | None, resolver: KeyResolver) -> None:
        source = keys or JwksClient(f"{self.settings.auth_url}/auth/jwks.json", http=self.http, clock=self.clock)
        verifier = TokenVerifier(source, issuer=self.settings.public_url, clock=self.clock)
        self.revocations = Revocations()
        self.api_keys = ApiKeys(resolver, verifier, clock=self.clock)
        self.credentials = Credentials(verifier, self.revocations, self.api_keys)

    def _build_admission(self, ledger: SnapshotSource) -> None:
        settings = self.settings
        self.redis = RedisConnection(settings.redis_url.get_secret_value())
        self.admission = Admission(
            redis=self.redis,
            ledger=ledger,
            instance=settings.instance,
            patience_s=settings.hold_patience_s,
            clock_offset_s=settings.clock_offset_s,
        )
        self.admission.on_swept = lambda call_id: self.calls.stop(call_id, "swept")
        self.sweeper = Sweeper(
            redis=self.redis,
            ledger=ledger,
            publish=self.publisher.orphaned,
            patience_s=settings.hold_patience_s,
            clock_offset_s=settings.clock_offset_s,
        )
        self.balances = BalanceReader(
            bootstrap=settings.kafka_bootstrap, admission=self.admission, producer=self.producer, clock=self.clock
        )

    def _state_reader(self) -> StateReader:
        def on_key(event: ApiKeyChanged) -> None:
            self.revocations.on_key(event)
            self.api_keys.on_changed(event)

        handlers: dict[type[Any], Callable[[Any], None]] = {
            SessionRevoked: self.revocations.on_session,
            UserChanged: self.revocations.on_user,
            MemberChanged: self.revocations.on_member,
            ApiKeyChanged: on_key,
            PriceBookPublished: self.prices.on_published,
        }
        return StateReader(
            self.settings.kafka_bootstrap, handlers, clock=self.clock, client_id=f"{self.settings.instance}-state"
        )

    @asynccontextmanager
    async def running(self, _app: FastAPI) -> AsyncIterator[None]:
        """Everything started; at the end calls first, then what carries their events, then connections."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.http.aclose)
            await self.services.start()
            stack.push_async_callback(self.services.stop)
            await self.upstream.start()
            stack.push_async_callback(self.upstream.stop)
            stack.push_async_callback(self.producer.stop)
            stack.push_async_callback(self.redis.stop)
            await self.admission.start()
            stack.push_async_callback(self.admission.stop)
            self.tasks.start("state", self.state.run())
            self.tasks.start("kafka-probe", self.publisher.probe())
            self.tasks.start("balances", self.balances.run())
            self.tasks.start("sweeper", self.sweeper.run())
            stack.push_async_callback(self.tasks.stop)
            stack.push_async_callback(self.calls.close, grace_s=self.settings.shutdown_grace_s)
            yield

    def health(self) -> Health:
        async def caught_up() -> None:
            if not self.state.caught_up.is_set():
                raise RuntimeError("state topics are still being read")

        async def open_for_calls() -> None:
            if self.calls.closing:
                raise RuntimeError("shutting down")

        live: dict[str, Check] = {
            "tasks": self.tasks.live,
            "admission": self.admission.live,
            "balances": self.balances.live,
        }
        ready: dict[str, Check] = {
            "redis": self.admission.ready,
            "kafka": self.publisher.ready,
            "state": caught_up,
            "prices": self.prices.ready,
            "open": open_for_calls,
        }
        return Health(live=live, ready=ready)

    def model_api(self, otherwise: ASGIApp) -> ASGIApp:
        """The model routes in front of the ordinary app."""
        parts = CallParts(
            upstream=self.upstream,
            publisher=self.publisher,
            settlement=self.admission,
            clock=self.clock,
            drain_s=self.settings.drain_s,
        )
        messages = MessagesRoute(
            credentials=self.credentials,
            prices=self.prices,
            admission=self.admission,
            calls=self.calls,
            parts=parts,
            upgrade_url=self.settings.upgrade_address,
        )
        free = FreeRoutes(self.credentials, self.prices, self.upstream, self.clock)
        routes = ModelApi(routes_of(messages, free), otherwise=otherwise)
        return ServerErrorMiddleware(routes, handler=_on_model_api_error)


def create_app(
    settings: Settings,
    *,
    keys: KeySource | None = None,
    resolver: KeyResolver | None = None,
    ledger: SnapshotSource | None = None,
) -> FastAPI:
    """The gateway's app: raw ASGI for the model API, FastAPI for everything else."""
    gateway = Gateway(settings, keys=keys, resolver=resolver, ledger=ledger)
    forwarder = forward.Forwarder(gateway.services, gateway.credentials)
    services = {
        "auth": settings.auth_url,
        "billing": settings.billing_url,
        "ledger": settings.ledger_url,
        "notifier": settings.notifier_url,
    }
    standing = origin.Standing(settings.environment, settings.public_url, settings.provider_is_real)
    app = create_http_app(
        service=SERVICE,
        title="Faregate gateway",
        routers=[origin.build_router(standing), forward.build_router(forwarder, services=services)],
        health=gateway.health(),
        lifespan=gateway.running,
    )
    _answer_in_the_providers_words(app)
    documents.describe_model_api(app)
    app.state.gateway = gateway
    app.state.services = services
    app.middleware_stack = gateway.model_api(app.build_middleware_stack())
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


async def _on_model_api_error(request: Request, error: Exception) -> Response:
    return origin.model_api_error(
        request, status=500, message="Something went wrong on our side; it has been recorded."
    )

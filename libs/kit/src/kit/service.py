"""What every service with a database is made of; its `app.py` adds routers, consumer and background work."""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from fastapi import APIRouter, FastAPI, Request, Response
from sqlalchemy.exc import SQLAlchemyError

from kit.clock import Clock
from kit.consumer import ONE_LANE, Consumer, Lanes
from kit.database import Database, is_transient
from kit.health import Check, Health
from kit.http import create_app, on_dependency_error, on_unexpected_error
from kit.identity import Identity, Revocations, ServiceTokens
from kit.outbox import Relay
from kit.producer import Producer
from kit.runner import FETCH_WAIT_MS, Runner
from kit.settings import ServiceSettings
from kit.tasks import Tasks
from kit.tokens import JwksClient, KeySource, TokenVerifier

Work = Callable[[], Coroutine[Any, Any, None]]


@dataclass
class Service:
    """The parts of one service, built once by its composition root and closed together."""

    name: str
    settings: ServiceSettings
    database_url: str
    secret: str | None = None
    consumer: Consumer | None = None
    keys: KeySource | None = None
    max_records: int = 2000
    lanes: Lanes = ONE_LANE
    fetch_wait_ms: int = FETCH_WAIT_MS
    background: dict[str, Work] = field(default_factory=dict)
    ready: dict[str, Check] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock: Clock = self.settings.clock()
        self.database = Database(self.database_url, source=self.name)
        self.producer = Producer(self.settings.kafka_bootstrap, client_id=self.name)
        self.http = httpx2.AsyncClient(timeout=5.0, follow_redirects=False)
        self.revocations = Revocations()
        keys = self.keys or JwksClient(f"{self.settings.auth_url}/auth/jwks.json", http=self.http, clock=self.clock)
        self.verifier = TokenVerifier(keys, issuer=self.settings.public_url, clock=self.clock)
        self.identity = Identity(self.verifier, self.revocations, service=self.name)

    def service_tokens(self) -> ServiceTokens:
        """Tokens for other services' internal routes; needs `secret`."""
        assert self.secret is not None
        return ServiceTokens(
            service=self.name, secret=self.secret, auth_url=self.settings.auth_url, http=self.http, clock=self.clock
        )

    def app(self, *, title: str, routers: Sequence[APIRouter], state: Mapping[str, Any] | None = None) -> FastAPI:
        """The HTTP app; its lifespan runs relay, revocation reader, consumer and background work.

        Routes find `database`, `clock`, `identity` and what `state` holds on `app.state`.
        """
        tasks = Tasks()
        revocations = self.revocations.reader(
            self.settings.kafka_bootstrap, clock=self.clock, client_id=f"{self.name}-revocations"
        )
        relay = Relay(self.database, self.producer)
        runner = self._runner()

        async def caught_up() -> None:
            if not revocations.caught_up.is_set():
                raise RuntimeError("revocations are still being read")

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            for name, value in {
                "database": self.database,
                "clock": self.clock,
                "identity": self.identity,
                **(state or {}),
            }.items():
                setattr(app.state, name, value)
            tasks.start("relay", relay.run())
            tasks.start("revocations", revocations.run())
            if runner:
                tasks.start("consumer", runner.run())
            for name, work in self.background.items():
                tasks.start(name, work())
            try:
                yield
            finally:
                await tasks.stop()
                await self.producer.stop()
                await self.http.aclose()
                await self.database.close()

        live: dict[str, Check] = {"tasks": tasks.live}
        ready: dict[str, Check] = {
            "database": self.database.ping,
            "kafka": self.producer.ping,
            "revocations": caught_up,
            **self.ready,
        }
        if runner:
            live["consumer"] = runner.live
            ready["consumer"] = runner.ready
        app = create_app(
            service=self.name, title=title, routers=routers, health=Health(live=live, ready=ready), lifespan=lifespan
        )
        app.add_exception_handler(SQLAlchemyError, _on_database_error)
        return app

    def _runner(self) -> Runner | None:
        if self.consumer is None:
            return None
        return Runner(
            self.consumer,
            database=self.database,
            bootstrap=self.settings.kafka_bootstrap,
            clock=self.clock,
            max_records=self.max_records,
            lanes=self.lanes,
            fetch_wait_ms=self.fetch_wait_ms,
        )


async def _on_database_error(request: Request, error: Exception) -> Response:
    handle = on_dependency_error if is_transient(error) else on_unexpected_error
    return await handle(request, error)

"""All parts of one gateway process, built once, started and stopped in order."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2
from fastapi import FastAPI

from contracts.auth import ApiKeyChanged, MemberChanged, SessionRevoked, UserChanged
from contracts.event import Event
from contracts.gateway import RoutingChanged
from contracts.ledger import PriceBookPublished
from gateway.adapters.auth import AuthKeyResolver, AuthRechecker, KeyResolver, Rechecker
from gateway.adapters.ledger import LedgerSnapshots
from gateway.adapters.services import Services
from gateway.admission.address_limits import AddressLimits
from gateway.admission.balances import BalanceReader
from gateway.admission.caller import Admission
from gateway.admission.connection import RedisConnection
from gateway.admission.sweeper import Sweeper
from gateway.admission.types import SnapshotSource
from gateway.catalog.prices import PriceBooks
from gateway.dataplane.errands import Errands
from gateway.dataplane.open_calls import OpenCalls
from gateway.dataplane.ticker import Ticker
from gateway.dataplane.upstream import Upstream, verified_tls
from gateway.identity.api_keys import ApiKeys
from gateway.identity.credentials import Credentials
from gateway.identity.flood import UnknownCredentials
from gateway.identity.vouching import Vouching
from gateway.routing.routing import Routing
from gateway.settings import Settings
from gateway.usage.durability import Durability
from kit.clock import MovedClock
from kit.health import Check, Health
from kit.identity import Identity, Revocations, ServiceTokens
from kit.producer import Producer
from kit.state import StateReader
from kit.tasks import Tasks
from kit.tokens import JwksClient, KeySource, TokenVerifier

SERVICE = "gateway"

COLLECT_AFTER = (50_000, 20, 100)
"""New objects, young collections, middle ones: when the collector of cycles looks at each generation."""

_BAD_CREDENTIALS_PER_MINUTE = 600
_BAD_CREDENTIALS_AT_ONCE = 200


class Gateway:
    """One gateway process; tests hand in other outside parties."""

    def __init__(
        self,
        settings: Settings,
        *,
        keys: KeySource | None = None,
        resolver: KeyResolver | None = None,
        rechecker: Rechecker | None = None,
        ledger: SnapshotSource | None = None,
    ) -> None:
        self.settings = settings
        self.clock: MovedClock = settings.clock()
        self.tasks = Tasks()
        self.errands = Errands()
        self.ticker = Ticker(clock=self.clock)
        self.http = httpx2.AsyncClient(timeout=5.0, follow_redirects=False)
        self.services = Services()
        self.prices = PriceBooks()
        self.producer = Producer(settings.kafka_bootstrap, client_id=settings.instance)
        tokens = ServiceTokens(
            service=SERVICE,
            secret=settings.service_secret.get_secret_value(),
            auth_url=settings.auth_url,
            http=self.http,
            clock=self.clock,
        )
        self.redis = RedisConnection(settings.redis_url.get_secret_value())
        self._build_calls()
        self._build_identity(
            keys,
            resolver or AuthKeyResolver(settings.auth_url, http=self.http, tokens=tokens),
            rechecker or AuthRechecker(settings.auth_url, http=self.http, tokens=tokens),
        )
        self._build_admission(
            ledger or LedgerSnapshots(base_url=settings.ledger_url, http=self.http, tokens=tokens, clock=self.clock)
        )

    def _build_calls(self) -> None:
        settings = self.settings
        self.calls = OpenCalls()
        self.upstream = Upstream(tls=verified_tls(extra_ca_file=settings.upstream_ca_file), clock=self.clock)
        self.durability = Durability(
            settings.durability(),
            bootstrap=settings.kafka_bootstrap,
            instance=settings.instance,
            clock=self.clock,
        )
        self.publisher = self.durability.publisher
        self.routing = Routing(
            books=self.prices,
            clock=self.clock,
            env={**os.environ, **settings.provider_env()},
            instance=settings.instance,
            path=settings.routing,
            publish=self.publisher.say_soon,
        )

    def _build_identity(self, keys: KeySource | None, resolver: KeyResolver, rechecker: Rechecker) -> None:
        source = keys or JwksClient(f"{self.settings.auth_url}/auth/jwks.json", http=self.http, clock=self.clock)
        verifier = TokenVerifier(source, issuer=self.settings.public_url, clock=self.clock, cached=0)
        self.revocations = Revocations()
        self.identity = Identity(verifier, self.revocations, service=SERVICE)
        addresses = AddressLimits(self.redis, per_minute=_BAD_CREDENTIALS_PER_MINUTE, most=_BAD_CREDENTIALS_AT_ONCE)
        unknown = UnknownCredentials(clock=self.clock, shared=addresses.check)
        self.api_keys = ApiKeys(resolver, verifier, clock=self.clock, unknown=unknown)
        self.state = self._state_reader()
        self.vouching = Vouching(
            self.state,
            rechecker,
            self.revocations,
            clock=self.clock,
            patience_s=self.settings.revocation_patience_s,
        )
        self.credentials = Credentials(
            verifier, self.revocations, self.api_keys, clock=self.clock, vouching=self.vouching, unknown=unknown
        )

    def _build_admission(self, ledger: SnapshotSource) -> None:
        settings = self.settings
        self.admission = Admission(
            redis=self.redis,
            ledger=ledger,
            instance=settings.instance,
            patience_s=settings.hold_patience_s,
            clock=self.clock,
            spooled=self.durability.spooled,
        )
        self.durability.on_adopted = self.admission.spool_grew
        # What one read admits is written down in one go, and dispatched before other sockets have their turn.
        self.redis.fast.on_answered = self.durability.journal.write_waiting
        self.admission.on_swept = lambda call_id: self.calls.stop(call_id, "swept")
        self.sweeper = Sweeper(
            redis=self.redis,
            ledger=ledger,
            publish=self.publisher.orphaned,
            patience_s=settings.hold_patience_s,
            clock=self.clock,
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
            RoutingChanged: self.routing.on_changed,
        }
        return StateReader(
            self.settings.kafka_bootstrap, handlers, clock=self.clock, client_id=f"{self.settings.instance}-state"
        )

    async def publish(self, event: Event) -> None:
        """To a state topic, acknowledged; raises `ProducerError`."""
        await self.producer.send(event.type, event.key.encode(), event.encode(SERVICE))

    @asynccontextmanager
    async def running(self, _app: FastAPI) -> AsyncIterator[None]:
        """Everything started; at the end calls first, then what carries their events, then connections."""
        self.routing.load()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.http.aclose)
            await self.services.start()
            stack.push_async_callback(self.services.stop)
            stack.push_async_callback(self.upstream.stop)
            stack.push_async_callback(self.producer.stop)
            stack.push_async_callback(self.redis.stop)
            await self.admission.start()
            stack.push_async_callback(self.admission.stop)
            await self.durability.start()
            stack.push_async_callback(self.durability.stop)
            self._start_tasks()
            stack.push_async_callback(self.tasks.stop)
            stack.push_async_callback(self.errands.stop)
            self.ticker.start(self.upstream.tick, self.calls.tick)
            stack.callback(self.ticker.stop)
            self.calls.start()
            stack.push_async_callback(self.calls.close, grace_s=self.settings.shutdown_grace_s)
            # What stands now stays: the collector need not walk it again and again while calls come and go.
            gc.collect()
            gc.freeze()
            stack.callback(gc.unfreeze)
            # A call makes a thousand objects and few cycles: at the default of 700 the collector took 15 % of a call.
            stack.callback(gc.set_threshold, *gc.get_threshold())
            gc.set_threshold(*COLLECT_AFTER)
            yield

    def _start_tasks(self) -> None:
        self.tasks.start("state", self.state.run())
        self.tasks.start("vouching", self.vouching.run(self.credentials.in_use))
        self.tasks.start("routing", self.routing.run())
        self.tasks.start("balances", self.balances.run())
        self.tasks.start("sweeper", self.sweeper.run())

    async def takes_calls(self) -> None:
        """Raise `RuntimeError` while this gateway is not ready."""
        await asyncio.gather(*(check() for check in self._ready().values()))

    def health(self) -> Health:
        live: dict[str, Check] = {
            "tasks": self.tasks.live,
            "admission": self.admission.live,
            "balances": self.balances.live,
            "recording": self.durability.live,
        }
        return Health(live=live, ready=self._ready(), has_metrics=not self.settings.metrics_address)

    def _ready(self) -> dict[str, Check]:
        async def caught_up() -> None:
            if not self.state.caught_up.is_set():
                raise RuntimeError("state topics are still being read")

        async def open_for_calls() -> None:
            if self.calls.closing:
                raise RuntimeError("shutting down")

        return {
            "redis": self.admission.ready,
            "recording": self.durability.ready,
            "state": caught_up,
            "prices": self.prices.ready,
            "routing": self.routing.ready,
            "open": open_for_calls,
        }

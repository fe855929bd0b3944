"""A whole gateway on real servers, with stand-ins only for what is outside of it."""

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import httpx2
import orjson
import pytest
import pytest_asyncio
import uvicorn
from fastapi import FastAPI

from contracts.event import Event
from contracts.gateway import UsageRecorded
from contracts.ledger import BalanceChanged, PriceBookPublished, Slice
from contracts.money import NANO_PER_CREDIT, Unit
from gateway.adapters.auth import ResolvedKey
from gateway.admission.types import AdmissionUnavailableError, UnknownAccountError
from gateway.app import Gateway, create_app
from gateway.settings import Settings
from kit import apikeys
from kit.errors import UnavailableError
from kit.producer import Producer
from kit.testing import Signer
from rating import PriceBook, parse_book
from sandbox.fixtures_outside import Provider, provider
from sandbox.stack import Stack
from sandbox.testing import KafkaRecords

__all__ = ["provider"]

BOOK_PATH = Path(__file__).parents[3] / "services/ledger/src/ledger/price_books/2026-11-21.toml"
ISSUER = "http://faregate.test"


@pytest.fixture(scope="session")
def book() -> PriceBook:
    return parse_book(BOOK_PATH.read_text(encoding="utf-8"), version=1)


@dataclass
class FakeLedger:
    """Snapshots as the ledger would give them."""

    snapshots: dict[UUID, BalanceChanged] = field(default_factory=dict)
    away: bool = False

    async def snapshot(self, account_id: UUID, calls: Sequence[UUID]) -> BalanceChanged:
        if self.away:
            raise AdmissionUnavailableError
        if account_id not in self.snapshots:
            raise UnknownAccountError
        return self.snapshots[account_id]


@dataclass
class FakeResolver:
    """Auth's answer about API keys."""

    tokens: dict[str, str] = field(default_factory=dict)
    away: bool = False
    asked: int = 0

    async def resolve(self, key: str) -> ResolvedKey | None:
        self.asked += 1
        await asyncio.sleep(0.01)
        if self.away:
            raise UnavailableError("away")
        return ResolvedKey(self.tokens[key], 600) if key in self.tokens else None


@dataclass(frozen=True)
class Account:
    account_id: UUID
    token: str
    api_key: str
    api_key_id: UUID


@dataclass
class Running:
    """A gateway that serves, and the outside of it."""

    base_url: str
    parts: Gateway
    signer: Signer
    ledger: FakeLedger
    resolver: FakeResolver
    producer: Producer
    forwarding: dict[str, str]

    def account(self, credit: float = 100, **changes: object) -> Account:
        account_id, api_key_id = uuid4(), uuid4()
        self.ledger.snapshots[account_id] = snapshot(account_id, credit=credit, **changes)
        key = apikeys.make("test")
        self.resolver.tokens[key] = self.signer.user_token(account_id=account_id, api_key_id=api_key_id)
        return Account(account_id, self.signer.user_token(account_id=account_id), key, api_key_id)

    async def publish(self, event: Event) -> None:
        await self.producer.send(event.type, event.key.encode(), event.encode("test"))


def snapshot(account_id: UUID, *, credit: float, **changes: object) -> BalanceChanged:
    now = datetime.now(UTC)
    granted = Slice(
        slice_id=uuid4(),
        unit=Unit.CREDIT,
        amount=round(credit * NANO_PER_CREDIT),
        starts_at=now - timedelta(days=1),
        expires_at=now + timedelta(days=1),
    )
    values = {"version": 1, "state": "open", "markup_bps": 1500, "arming": 1, "plan_id": "trial", "plan_version": 1}
    return BalanceChanged(
        id=uuid4(), time=now, account_id=account_id, slices=(granted,) if credit else (), **(values | changes)
    )


def settings_for(stack: Stack, *, provider_url: str, provider_key: str, **changes: object) -> Settings:
    values = {
        "environment": "sandbox",
        "kafka_bootstrap": stack.kafka_bootstrap,
        "public_url": ISSUER,
        "auth_url": "http://127.0.0.1:1",
        "ledger_url": "http://127.0.0.1:1",
        "billing_url": "http://127.0.0.1:1",
        "notifier_url": "http://127.0.0.1:1",
        "redis_url": stack.redis_url,
        "service_secret": "unused",
        "anthropic_api_key": provider_key,
        "anthropic_base_url": provider_url,
        "instance": f"gateway-test-{uuid4().hex[:8]}",
        "state_dir": Path(tempfile.mkdtemp(prefix="faregate-gateway-")),
        "drain_s": 3.0,
    }
    return Settings(**(values | changes))


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        proxy_headers=False,
        access_log=False,
        log_config=None,
        http=app.state.protocol,
        timeout_graceful_shutdown=15,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        assert not task.done(), "the server did not start"
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@contextlib.asynccontextmanager
async def running_gateway(settings: Settings, book: PriceBook) -> AsyncIterator[Running]:
    signer, ledger, resolver = Signer(issuer=ISSUER), FakeLedger(), FakeResolver()
    producer = Producer(settings.kafka_bootstrap, client_id="test")
    published = PriceBookPublished(
        id=uuid4(),
        time=datetime.now(UTC),
        version=book.version,
        effective_at=book.effective_at,
        book=orjson.loads(book.model_dump_json()),
    )
    await producer.send(published.type, published.key.encode(), published.encode("test"))
    app = create_app(settings, keys=signer.key_source, resolver=resolver, ledger=ledger)
    async with serving(app) as base_url:
        running = Running(base_url, app.state.gateway, signer, ledger, resolver, producer, app.state.services)
        async with asyncio.timeout(20), httpx2.AsyncClient() as http:
            while (await http.get(f"{base_url}/health/ready")).status_code != 200:  # noqa: ASYNC110  # another program's state
                await asyncio.sleep(0.05)
        yield running
    await producer.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gateway(stack: Stack, topics: list[str], provider: Provider, book: PriceBook) -> AsyncIterator[Running]:
    settings = settings_for(stack, provider_url=provider.base_url, provider_key=provider.api_key)
    async with running_gateway(settings, book) as running:
        yield running


@pytest.fixture(scope="session")
def gateway_at(stack: Stack, book: PriceBook) -> Callable[..., contextlib.AbstractAsyncContextManager[Running]]:
    """Called with a provider's address: another gateway that uses that provider, with a health book of its own."""
    return lambda url, key="k", **changes: running_gateway(
        settings_for(stack, provider_url=url, provider_key=key, **changes), book
    )


@pytest.fixture(scope="session")
def snapshot_of() -> Callable[..., BalanceChanged]:
    return snapshot


UsageOf = Callable[..., Awaitable[list[UsageRecorded]]]


@pytest.fixture(scope="session")
def usage_of(kafka_records: KafkaRecords) -> UsageOf:
    """Awaited with an account: the usage events of its calls, once `at_least` of them are there."""

    async def read(account_id: UUID, *, at_least: int = 1) -> list[UsageRecorded]:
        found: list[UsageRecorded] = []
        async with asyncio.timeout(15):
            while True:
                records = await kafka_records(UsageRecorded.type)
                values = [value for key, value in records if key == str(account_id).encode() and value]
                found = [UsageRecorded.from_envelope(orjson.loads(value)) for value in values]
                if len(found) >= at_least:
                    return found
                await asyncio.sleep(0.05)

    return read

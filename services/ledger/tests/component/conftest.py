"""The ledger as a whole: in this process with its HTTP app, or as a process of its own that can be killed."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from asyncpg import Connection, connect
from factories import Factory

from contracts.event import Event
from kit.clock import SystemClock
from kit.producer import Producer
from kit.testing import Signer
from kit.tokens import STEPPED_UP
from ledger.app import create_app
from ledger.settings import LedgerSettings
from sandbox.stack import Stack
from sandbox.testing import SkipToEnd, json_objects

ISSUER = "http://127.0.0.1:8080"


class Running:
    """A ledger that is up, Kafka in front of it and its database behind."""

    def __init__(self, stack: Stack, urls: tuple[str, str], producer: Producer, connection: Connection) -> None:
        self.stack, self.producer, self.connection = stack, producer, connection
        self.owner_url, self.database_url = urls
        self.make = Factory(SystemClock())
        self.signer = Signer(issuer=ISSUER)
        self.http: httpx2.AsyncClient | None = None

    def environment(self, port: int) -> dict[str, str]:
        return {
            "FAREGATE_ENVIRONMENT": "sandbox",
            "FAREGATE_KAFKA_BOOTSTRAP": self.stack.kafka_bootstrap,
            "FAREGATE_PUBLIC_URL": ISSUER,
            "FAREGATE_AUTH_URL": "http://127.0.0.1:1",
            "FAREGATE_LEDGER_PORT": str(port),
            "FAREGATE_LEDGER_DATABASE_URL": self.database_url,
        }

    def settings(self, **more: Any) -> LedgerSettings:
        return LedgerSettings(
            environment="sandbox",
            kafka_bootstrap=self.stack.kafka_bootstrap,
            public_url=ISSUER,
            auth_url="http://127.0.0.1:1",
            port=8082,
            database_url=self.database_url,
            **more,
        )

    async def send(self, *events: Event) -> None:
        records = [(event.type, event.key.encode(), event.encode("test")) for event in events]
        for start in range(0, len(records), 500):
            await self.producer.send_all(records[start : start + 500])

    async def send_raw(self, topic: str, key: bytes, value: bytes) -> None:
        await self.producer.send(topic, key, value)

    async def until(self, query: str, *values: object, timeout_s: float = 30.0) -> None:
        """Wait until the query's first value is true."""
        async with asyncio.timeout(timeout_s):
            while not await self.connection.fetchval(query, *values):  # noqa: ASYNC110  # another process writes it
                await asyncio.sleep(0.03)

    async def new_account(self) -> UUID:
        account_id = uuid4()
        await self.send(self.make.created(account_id), self.make.activated(account_id))
        await self.until("SELECT activated_at IS NOT NULL FROM account WHERE id = $1", account_id)
        return account_id

    async def booked(self, *call_ids: UUID) -> None:
        await self.until("SELECT count(*) = $2 FROM charge WHERE id = ANY($1)", list(call_ids), len(call_ids))

    async def get(self, path: str, *, token: str, **params: Any) -> httpx2.Response:
        assert self.http is not None
        return await self.http.get(path, headers={"authorization": f"Bearer {token}"}, params=params)

    async def post(self, path: str, body: object, *, token: str, key: str | None = None) -> httpx2.Response:
        assert self.http is not None
        headers = {"authorization": f"Bearer {token}"} | ({"idempotency-key": key} if key else {})
        return await self.http.post(path, headers=headers, json=body)

    def owner(self, account_id: UUID, **more: Any) -> str:
        return self.signer.user_token(account_id=account_id, **more)

    def operator(self) -> str:
        """One who has just stepped up, as what moves money asks."""
        return self.signer.user_token(account_id=uuid4(), operator=True, acr=STEPPED_UP)

    @contextmanager
    def process(self) -> Iterator[subprocess.Popen[bytes]]:
        """`python -m ledger serve`, ended with this block."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "ledger", "serve"],
            env={**os.environ, **self.environment(port)},
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)


@asynccontextmanager
async def on_database(stack: Stack, urls: tuple[str, str], skip_to_end: SkipToEnd) -> AsyncIterator[Running]:
    await skip_to_end("ledger")
    producer = Producer(stack.kafka_bootstrap, client_id="test")
    connection = await connect(urls[1])
    yield Running(stack, urls, producer, connection)
    await connection.close()
    await producer.stop()


@asynccontextmanager
async def with_app(prepared: Running) -> AsyncIterator[Running]:
    app = create_app(prepared.settings(), keys=prepared.signer)
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://ledger") as prepared.http:
            await prepared.send(prepared.make.plan())
            await prepared.until("SELECT count(*) > 0 FROM plan")
            yield prepared


@pytest.fixture
async def prepared(
    stack: Stack, topics: list[str], owner_url: str, database_url: str, skip_to_end: SkipToEnd
) -> AsyncIterator[Running]:
    """Kafka, a migrated database, and nothing running yet."""
    async with on_database(stack, (owner_url, database_url), skip_to_end) as made:
        yield made


@pytest.fixture
async def running(prepared: Running) -> AsyncIterator[Running]:
    """The app in this process, with prices and the default plan."""
    async with with_app(prepared) as made:
        yield made


@pytest.fixture(scope="module")
async def running_for_all(
    stack: Stack, topics: list[str], new_urls: Callable[[], Awaitable[tuple[str, str]]], skip_to_end: SkipToEnd
) -> AsyncIterator[Running]:
    """The same for a whole file, whose tests look at nothing but accounts of their own.

    No other test of the file may start a ledger: they would take each other's partitions.
    """
    async with on_database(stack, await new_urls(), skip_to_end) as prepared, with_app(prepared) as made:
        yield made


@pytest.fixture
def published(kafka_records: Callable[[str], Awaitable[list[Any]]]) -> Callable[..., Awaitable[list[dict[str, Any]]]]:
    """Awaited with a topic and a condition: the data of matching events, once there is one."""

    async def read(topic: str, *, matching: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        async with asyncio.timeout(15):
            while True:
                bodies = [event.get("data", event) for event in json_objects(await kafka_records(topic)) if event]
                found = [body for body in bodies if matching(body)]
                if found:
                    return found
                await asyncio.sleep(0.1)

    return read

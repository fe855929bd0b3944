"""A database with the machinery's tables, and what stands round it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from contracts.auth import AccountActivated
from kit.clock import ManualClock
from kit.database import Database
from kit.producer import Producer
from kit.tables import machinery
from sandbox.stack import External, Stack
from sandbox.stack.topics import create_topics
from sandbox.testing import FreshDatabase, temporary_folder

Until = Callable[..., Awaitable[None]]
Running = Callable[..., AbstractAsyncContextManager[None]]
MakeEvent = Callable[..., AccountActivated]


@pytest.fixture
async def database(fresh_database: FreshDatabase) -> AsyncIterator[Database]:
    database = Database(await fresh_database("ledger"), source="ledger")
    async with database.engine.begin() as connection:
        await connection.run_sync(machinery.create_all)
    yield database
    await database.close()


@pytest.fixture
async def producer(stack: Stack, topics: list[str]) -> AsyncIterator[Producer]:
    producer = Producer(stack.kafka_bootstrap, client_id="test")
    yield producer
    await producer.stop()


@pytest.fixture
def group() -> str:
    return f"group-{uuid4().hex[:8]}"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fragile() -> AsyncIterator[Stack]:
    """Servers of one's own, to be stopped and killed without hurting other tests."""
    with temporary_folder() as folder:
        async with Stack(folder, external=External()).for_tests() as running:
            await create_topics(running.kafka_bootstrap)
            yield running


@pytest.fixture
async def fragile_database(fragile: Stack) -> AsyncIterator[Database]:
    database = Database(fragile.database_url("ledger"), source="ledger")
    async with database.engine.begin() as connection:
        await connection.run_sync(machinery.drop_all)
        await connection.run_sync(machinery.create_all)
    yield database
    await database.close()


@pytest.fixture
def until() -> Until:
    """Awaited with a condition: returns when it holds, raises when it takes too long."""

    async def wait(true: Callable[[], object], timeout_s: float = 15) -> None:
        async with asyncio.timeout(timeout_s):
            while not true():  # noqa: ASYNC110  # what is awaited lives in other tasks
                await asyncio.sleep(0.02)

    return wait


@pytest.fixture
def running() -> Running:
    """In this block, these things run."""

    @asynccontextmanager
    async def run(*works: object) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(work.run()) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task

    return run


@pytest.fixture
def activated() -> MakeEvent:
    """Makes an event, of an account of its own unless one is given."""

    def make(account_id: UUID | None = None) -> AccountActivated:
        return AccountActivated(id=uuid4(), time=ManualClock().now(), account_id=account_id or uuid4())

    return make

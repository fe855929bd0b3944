"""A database with the machinery's tables, and what stands round it."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from kit.database import Database
from kit.producer import Producer
from kit.tables import machinery
from sandbox.stack import Stack
from sandbox.testing import FreshDatabase


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

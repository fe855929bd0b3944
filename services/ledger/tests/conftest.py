"""A migrated ledger on real servers: one batch at a time, or as a whole app."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from kit import migrations
from kit.clock import ManualClock
from kit.database import Database
from sandbox.testing import FreshDatabase

sys.path.insert(0, str(Path(__file__).parent))

from factories import Factory
from harness import Ledger

MIGRATIONS = Path(__file__).parents[1] / "migrations"


@pytest.fixture
async def database_url(fresh_database: FreshDatabase) -> str:
    url = await fresh_database("ledger")
    await asyncio.to_thread(migrations.upgrade, MIGRATIONS, url)
    return url


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def make(clock: ManualClock) -> Factory:
    return Factory(clock)


@pytest.fixture(scope="session")
async def shared_url(fresh_database: FreshDatabase) -> str:
    """One migrated database for the tests that only look at their own accounts."""
    url = await fresh_database("ledger")
    await asyncio.to_thread(migrations.upgrade, MIGRATIONS, url)
    return url


@pytest.fixture
async def ledger(shared_url: str, clock: ManualClock, make: Factory) -> AsyncIterator[Ledger]:
    """Prices and the default plan are there; every test ends with balanced books."""
    database = Database(shared_url, source="ledger")
    running = Ledger(database, clock)
    await running.publish_prices()
    await running.deliver(make.plan(), make.plan("starter", default=False))
    yield running
    books = await running.books()
    await database.close()
    assert books.balanced, books.differences


@pytest.fixture
async def bare_ledger(database_url: str, clock: ManualClock) -> AsyncIterator[Ledger]:
    """A database of its own with prices, and no plan yet."""
    database = Database(database_url, source="ledger")
    running = Ledger(database, clock)
    await running.publish_prices()
    yield running
    await database.close()


@pytest.fixture
def account(ledger: Ledger, make: Factory) -> Callable[[], Awaitable[UUID]]:
    """Awaited: a new account with its trial of five credits."""

    async def new() -> UUID:
        account_id = uuid4()
        await ledger.deliver(make.created(account_id), make.activated(account_id))
        return account_id

    return new

"""A migrated ledger on real servers: one batch at a time, or as a whole app."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from kit.clock import ManualClock
from kit.database import Database
from sandbox.stack import Stack
from sandbox.testing import MigratedDatabase

sys.path.insert(0, str(Path(__file__).parent))

from factories import Factory
from harness import Ledger

MIGRATIONS = Path(__file__).parents[1] / "migrations"


@pytest.fixture
async def owner_url(migrated_database: MigratedDatabase) -> str:
    """A migrated database, as the owner of its tables."""
    return await migrated_database("ledger", MIGRATIONS)


@pytest.fixture
def database_url(owner_url: str, stack: Stack) -> str:
    """The same as the running service, which only adds to the books."""
    return as_service(owner_url, stack)


def as_service(owner_url: str, stack: Stack) -> str:
    return stack.database_url("ledger", database=urlsplit(owner_url).path.removeprefix("/"), is_running=True)


@pytest.fixture(scope="session")
def new_urls(migrated_database: MigratedDatabase, stack: Stack) -> Callable[[], Awaitable[tuple[str, str]]]:
    """Awaited: a database for fixtures that outlive a test, as the owner of its tables and as the service."""

    async def make() -> tuple[str, str]:
        url = await migrated_database("ledger", MIGRATIONS)
        return url, as_service(url, stack)

    return make


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def make(clock: ManualClock) -> Factory:
    return Factory(clock)


@pytest.fixture(scope="session")
async def shared_url(migrated_database: MigratedDatabase, stack: Stack) -> str:
    """One migrated database for the tests that only look at their own accounts."""
    return as_service(await migrated_database("ledger", MIGRATIONS), stack)


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

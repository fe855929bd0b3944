"""Real servers round a notifier: PostgreSQL, Kafka, the sandbox's mailbox, auth's routes over HTTP."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from services.notifier.tests.running import MAIL_FROM, PUBLIC_URL, Notifier, Surroundings, in_process
from services.notifier.tests.stand_in_auth import SECRET, StandInAuth, serving

from kit.database import Database
from kit.producer import Producer
from sandbox.fixtures_outside import Mailbox
from sandbox.stack import Stack
from sandbox.testing import MigratedDatabase, SkipToEnd

MIGRATIONS = Path(__file__).parents[1] / "migrations"
Surround = Callable[[], AbstractAsyncContextManager[Surroundings]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def auth() -> AsyncIterator[StandInAuth]:
    async with serving() as stand_in:
        yield stand_in


@pytest.fixture(scope="session")
def surround(
    stack: Stack, migrated_database: MigratedDatabase, auth: StandInAuth, mailbox: Mailbox, skip_to_end: SkipToEnd
) -> Surround:
    """Surroundings with a database and a consumer group of their own."""

    @asynccontextmanager
    async def make() -> AsyncIterator[Surroundings]:
        # A group that a killed process was in takes its time to rebalance, so nobody shares one.
        group = f"notifier-{uuid4().hex[:8]}"
        await skip_to_end(group)
        database_url = await migrated_database("notifier", MIGRATIONS)
        settings = {
            "environment": "sandbox",
            "kafka_bootstrap": stack.kafka_bootstrap,
            "public_url": PUBLIC_URL,
            "auth_url": auth.url,
            "billing_url": auth.url,
            "port": 8084,
            "database_url": database_url,
            "service_secret": SECRET,
            "smtp_host": "127.0.0.1",
            "smtp_port": mailbox.smtp_port,
            "mail_from": MAIL_FROM,
            "consumer_group": group,
        }
        database = Database(database_url, source="notifier", pool_size=2)
        producer = Producer(stack.kafka_bootstrap, client_id="notifier-tests")
        try:
            yield Surroundings(settings, database, producer, mailbox)
        finally:
            await producer.stop()
            await database.close()

    return make


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def notifier(surround: Surround) -> AsyncIterator[Notifier]:
    """One notifier for all tests of a file; they tell themselves apart by accounts.

    A test that runs its own belongs in another file: two notifiers with two databases mail every event twice.
    """
    async with surround() as around, in_process(around) as running:
        yield running


@pytest.fixture
def address() -> str:
    """An address that no other test uses."""
    return f"ada-{uuid4().hex[:12]}@mail.example"

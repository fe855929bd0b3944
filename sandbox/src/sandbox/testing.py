"""The pytest plugin that gives every package's tests the real servers.

`FAREGATE_TEST_KEEP_STACK=FOLDER` keeps the servers up between runs; `python -m sandbox.testing stop FOLDER` ends them.
"""

import asyncio
import gc
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import httpx2
import orjson
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError
from redis.asyncio import Redis

from kit import migrations
from kit.garbage import leave_out_what_stays
from sandbox.addresses import PORT_COUNT, Addresses
from sandbox.faregate import Faregate
from sandbox.kept_stack import keep, kept_stack, stop_kept_stack
from sandbox.selection import without_real_keys
from sandbox.stack import Stack, roles
from sandbox.stack.ports import free_port_base
from sandbox.stack.topics import create_topics, end_offsets

KEEP_VARIABLE = "FAREGATE_TEST_KEEP_STACK"
READ_TIMEOUT_S = 15.0

KafkaRecord = tuple[bytes | None, bytes | None]
FreshDatabase = Callable[[str], Awaitable[str]]
MigratedDatabase = Callable[[str, Path], Awaitable[str]]
SkipToEnd = Callable[[str], Awaitable[None]]
KafkaRecords = Callable[[str], Awaitable[list[KafkaRecord]]]
FlushRedis = Callable[[], Awaitable[None]]


def pytest_configure() -> None:
    forget_real_keys(os.environ)
    _read_certificates_once()
    # The usual 700 objects made are a twentieth of a test: a fifth of the time went to looking for garbage.
    gc.set_threshold(10_000, 20, 20)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Five thousand tests are a heap that each full collection would walk, in vain."""
    leave_out_what_stays()


def forget_real_keys(env: MutableMapping[str, str]) -> None:
    """No test may reach an outside party, whatever the developer's shell holds."""
    kept = without_real_keys(env)
    for name in set(env) - set(kept):
        del env[name]


def _read_certificates_once() -> None:
    """Each HTTP client reads every certificate authority anew, 15 ms and more of a core, and tests make thousands."""
    once = lru_cache(maxsize=8)(httpx2.create_ssl_context)
    pytest.MonkeyPatch().setattr("httpx2._transports.default.create_ssl_context", once)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Not pytest's: each pytest that starts closes the parent of those again, and PostgreSQL is not root."""
    with tempfile.TemporaryDirectory(prefix="faregate-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def state_folder() -> Iterator[Path]:
    """A folder in which servers can keep their data."""
    with temporary_folder() as folder:
        yield folder


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack() -> AsyncIterator[Stack]:
    """Kafka, PostgreSQL and Redis, up for the whole session."""
    kept = os.environ.get(KEEP_VARIABLE)
    if kept:
        # One each: two workers in one stack would empty each other's Redis.
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        yield await asyncio.to_thread(kept_stack, Path(kept) / worker)
        return
    with temporary_folder() as folder:
        async with Stack(folder).for_tests() as running:
            yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def faregate() -> AsyncIterator[Faregate]:
    """The whole product with all stand-ins, on servers and ports of its own, up for the whole session."""
    addresses = Addresses.from_gateway_port(free_port_base(PORT_COUNT))
    with temporary_folder() as folder:
        product = Faregate(folder, addresses)
        product.stack.for_tests()
        async with product as running:
            yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def topics(stack: Stack) -> list[str]:
    """Make every declared topic; the names of those that were missing."""
    return await create_topics(stack.kafka_bootstrap)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fresh_database(stack: Stack) -> AsyncIterator[FreshDatabase]:
    """Awaited with a service's name: the URL of a new, empty database of that service's role."""
    async with _databases(stack) as make:
        yield make


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def migrated_database(stack: Stack) -> AsyncIterator[MigratedDatabase]:
    """Awaited with a service's name and its migrations: the URL of a new database that went through them.

    They run once in a session; each further database is a copy, in a tenth of the time.
    """
    models: dict[str, str] = {}
    async with _databases(stack) as make:

        async def migrated(service: str, folder: Path) -> str:
            if service not in models:
                url = await make(service)
                await asyncio.to_thread(migrations.upgrade, folder, url)
                models[service] = urlsplit(url).path.removeprefix("/")
            return await make(service, like=models[service])

        yield migrated


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def skip_to_end(stack: Stack, topics: list[str]) -> SkipToEnd:
    """Awaited with the name of a consumer group: that consumer group starts behind everything written so far."""

    async def skip(group: str) -> None:
        ends = await end_offsets(stack.kafka_bootstrap)
        consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka_bootstrap, group_id=group, enable_auto_commit=False)
        async with asyncio.timeout(READ_TIMEOUT_S), consumer:
            consumer.assign(list(ends))
            while True:
                try:
                    await consumer.commit(ends)
                except CommitFailedError:
                    # A member that was killed keeps its place until its session times out.
                    await asyncio.sleep(0.5)
                else:
                    return

    return skip


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kafka_records(stack: Stack) -> KafkaRecords:
    """Awaited with a topic: key and value of all its records up to now, by partition and offset."""

    async def read(topic: str) -> list[KafkaRecord]:
        ends = await end_offsets(stack.kafka_bootstrap, {topic})
        if not ends:
            raise LookupError(f"there is no topic {topic}")
        consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka_bootstrap, enable_auto_commit=False)
        async with asyncio.timeout(READ_TIMEOUT_S), consumer:
            return await _read_all(consumer, ends)

    return read


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def flush_redis(stack: Stack) -> FlushRedis:
    """Awaited: nothing is left in Redis."""

    async def flush() -> None:
        async with Redis.from_url(stack.redis_url) as client:
            await client.flushall()

    return flush


def json_objects(records: Iterable[KafkaRecord]) -> list[dict[str, Any]]:
    """The JSON objects among records; tests that share a Kafka put broken ones on the same topics."""
    found = []
    for _, value in records:
        with suppress(orjson.JSONDecodeError):
            loaded = orjson.loads(value or b"null")
            if isinstance(loaded, dict):
                found.append(loaded)
    return found


class _MakeDatabase(Protocol):
    async def __call__(self, service: str, *, like: str | None = None) -> str: ...


@asynccontextmanager
async def _databases(stack: Stack) -> AsyncIterator[_MakeDatabase]:
    """Makes databases; only a stack that stays up has them dropped at the end."""
    connection = await asyncpg.connect(stack.admin_url)
    await roles.create_roles(connection, admin_url=stack.admin_url)
    made: list[str] = []

    async def make(service: str, *, like: str | None = None) -> str:
        name = f"{roles.role_of(service)}_{uuid4().hex[:12]}"
        await roles.create_database(connection, name, service=service, like=like)
        made.append(name)
        return stack.database_url(service, database=name)

    try:
        yield make
        for name in made if os.environ.get(KEEP_VARIABLE) else ():
            await roles.drop_database(connection, name)
    finally:
        await connection.close()


async def _read_all(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> list[KafkaRecord]:
    consumer.assign(list(ends))
    await consumer.seek_to_beginning(*ends)
    found: dict[TopicPartition, list[KafkaRecord]] = {partition: [] for partition in ends}
    while not await _all_read(consumer, ends):
        batches = await consumer.getmany(timeout_ms=200)
        for partition, records in batches.items():
            found[partition] += [(record.key, record.value) for record in records if record.offset < ends[partition]]
    return [record for records in found.values() for record in records]


async def _all_read(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
    positions = [(await consumer.position(partition), end) for partition, end in ends.items()]
    return all(position >= end for position, end in positions)


def main(arguments: list[str]) -> int:
    match arguments:
        case ["start", folder]:
            asyncio.run(keep(Path(folder)))
            return 0
        case ["stop", folder]:
            stopped = [stop_kept_stack(path) for path in [Path(folder), *Path(folder).glob("*/")]]
            sys.stdout.write(f"{sum(stopped)} stopped\n")
            return 0
        case _:
            sys.stderr.write("usage: python -m sandbox.testing start|stop FOLDER\n")
            return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

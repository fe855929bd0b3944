"""Kafka and PostgreSQL stop and come back: waits are bounded, nothing is lost, order per key is kept."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer

from contracts.auth import AccountActivated, UserChanged
from kit import outbox
from kit.clock import ManualClock, SystemClock
from kit.database import Database
from kit.outbox import Relay
from kit.producer import MANY, Producer, ProducerError
from kit.state import StateReader
from sandbox.stack import Stack
from sandbox.stack.topics import end_offsets

pytestmark = pytest.mark.long

Until = Callable[..., Awaitable[None]]
Running = Callable[..., AbstractAsyncContextManager[None]]
MakeEvent = Callable[..., AccountActivated]
TOPIC = AccountActivated.type
TIMEOUT_S = 2.0


@pytest.fixture
async def sender(fragile: Stack) -> AsyncIterator[Producer]:
    producer = Producer(fragile.kafka_bootstrap, client_id="test", timeout_s=TIMEOUT_S)
    yield producer
    await producer.stop()


async def ids_by_key(stack: Stack) -> dict[bytes, list[str]]:
    """The ids of all events, by key, each where it came first."""
    ends = await end_offsets(stack.kafka_bootstrap, {TOPIC})
    found: dict[bytes, list[str]] = {}
    async with AIOKafkaConsumer(bootstrap_servers=stack.kafka_bootstrap, enable_auto_commit=False) as kafka:
        kafka.assign(list(ends))
        await kafka.seek_to_beginning(*ends)
        while any([await kafka.position(partition) < end for partition, end in ends.items()]):
            for records in (await kafka.getmany(timeout_ms=200)).values():
                for record in records:
                    known = found.setdefault(record.key, [])
                    if (event_id := json.loads(record.value)["id"]) not in known:
                        known.append(event_id)
    return found


async def test_a_producer_is_bounded_while_kafka_is_away_and_works_again_afterwards(
    fragile: Stack, sender: Producer, activated: MakeEvent
) -> None:
    before, during, after = (activated() for _ in range(3))
    stopping = Producer(fragile.kafka_bootstrap, client_id="stopping", timeout_s=TIMEOUT_S)
    for producer in (sender, stopping):
        await producer.send(TOPIC, before.key.encode(), before.encode("auth"))

    await fragile.kafka.stop()
    try:
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(ProducerError):
                await sender.send(TOPIC, during.key.encode(), during.encode("auth"))
            assert time.monotonic() - began < TIMEOUT_S + 1
        with pytest.raises(ProducerError):
            await sender.ping()
        async with asyncio.timeout(8):
            await stopping.stop()
    finally:
        await fragile.kafka.start()

    await _send_until_it_works(sender, after)
    await sender.ping()
    found = await ids_by_key(fragile)
    assert found[before.key.encode()] == [str(before.id)]
    assert found[after.key.encode()] == [str(after.id)]


async def _send_until_it_works(producer: Producer, event: AccountActivated) -> None:
    async with asyncio.timeout(15):
        while True:
            try:
                await producer.send(TOPIC, event.key.encode(), event.encode("auth"))
            except ProducerError:
                await asyncio.sleep(0.1)
            else:
                return


async def _emit(database: Database, events: list[AccountActivated]) -> None:
    async with database.transaction() as session:
        await outbox.add(session, *events)


async def _waiting(database: Database) -> int:
    async with database.reading() as session:
        return await outbox.waiting(session)


async def _all_relayed(database: Database, *, timeout_s: float) -> None:
    async with asyncio.timeout(timeout_s):
        while await _waiting(database):  # noqa: ASYNC110  # the database's state
            await asyncio.sleep(0.05)


def _interleaved(activated: MakeEvent, accounts: list[UUID], *, count: int) -> list[AccountActivated]:
    return [activated(accounts[number % len(accounts)]) for number in range(count)]


async def _assert_in_order(stack: Stack, accounts: list[UUID], events: list[AccountActivated]) -> None:
    found = await ids_by_key(stack)
    for account in accounts:
        assert found[str(account).encode()] == [str(event.id) for event in events if event.account_id == account]


async def test_the_relay_loses_nothing_and_keeps_the_order_per_key_when_kafka_restarts(
    fragile: Stack, fragile_database: Database, sender: Producer, activated: MakeEvent, running: Running
) -> None:
    accounts = [uuid4() for _ in range(4)]
    events = _interleaved(activated, accounts, count=400)

    async with running(Relay(fragile_database, sender, batch=MANY)):
        await _emit(fragile_database, events[:200])
        await fragile.kafka.stop()
        try:
            await _emit(fragile_database, events[200:300])
            await asyncio.sleep(TIMEOUT_S + 0.5)
            assert await _waiting(fragile_database) >= 100
        finally:
            await fragile.kafka.start()
        await _emit(fragile_database, events[300:])
        await _all_relayed(fragile_database, timeout_s=20)

    await _assert_in_order(fragile, accounts, events)


async def test_the_relay_loses_nothing_and_keeps_the_order_per_key_when_postgresql_is_killed(
    fragile: Stack, fragile_database: Database, sender: Producer, activated: MakeEvent, running: Running
) -> None:
    accounts = [uuid4() for _ in range(4)]
    events = _interleaved(activated, accounts, count=400)

    async with running(Relay(fragile_database, sender, batch=5)):
        await _emit(fragile_database, events[:300])
        await fragile.postgres.kill()
        await asyncio.sleep(0.5)
        await fragile.postgres.start()
        await _emit(fragile_database, events[300:])
        await _all_relayed(fragile_database, timeout_s=20)

    await _assert_in_order(fragile, accounts, events)


async def test_a_state_reader_goes_on_after_kafka_restarted(
    fragile: Stack, sender: Producer, running: Running, until: Until
) -> None:
    user = UserChanged(id=uuid4(), time=ManualClock().now(), user_id=uuid4(), version=1, state="active", operator=False)
    states: dict[UUID, UserChanged] = {}
    reader = StateReader(
        fragile.kafka_bootstrap,
        {UserChanged: lambda event: states.__setitem__(event.user_id, event)},
        clock=SystemClock(),
        client_id="test",
    )

    async with running(reader):
        await sender.send(UserChanged.type, user.key.encode(), user.encode("auth"))
        await until(lambda: user.user_id in states)
        await fragile.kafka.stop()
        try:
            await until(lambda: reader.age_s() > 1)
        finally:
            await fragile.kafka.start()
        later = user.model_copy(update={"id": uuid4(), "version": 2, "state": "disabled"})
        async with asyncio.timeout(15):
            while True:
                try:
                    await sender.send(UserChanged.type, later.key.encode(), later.encode("auth"))
                    break
                except ProducerError:
                    await asyncio.sleep(0.1)
        await until(lambda: states[user.user_id].state == "disabled")
        await until(lambda: reader.age_s() < 1)

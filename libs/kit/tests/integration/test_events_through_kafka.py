"""Outbox to Kafka to consumer: nothing lost, nothing twice, a bad record costs only itself."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.auth import AccountActivated, AccountCreated, UserChanged
from contracts.event import Event
from kit import outbox, parking
from kit.clock import ManualClock, SystemClock
from kit.consumer import Batch, Consumer
from kit.database import Database
from kit.errors import DomainError, MissingReferentError
from kit.outbox import Relay
from kit.producer import Producer, ProducerError
from kit.runner import Runner
from kit.state import StateReader
from kit.tables import inbox_table, parked_table
from sandbox.stack import Stack
from sandbox.testing import KafkaRecords, SkipToEnd

pytestmark = pytest.mark.long

CLOCK = ManualClock()


def activated(account_id: UUID | None = None, event_id: UUID | None = None) -> AccountActivated:
    return AccountActivated(id=event_id or uuid4(), time=CLOCK.now(), account_id=account_id or uuid4())


async def until(true: Callable[[], object], timeout_s: float = 15) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():  # noqa: ASYNC110  # what is awaited lives in other tasks
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(*works: object) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(work.run()) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


class Applied:
    """A consumer that writes down what it applied."""

    def __init__(self, group: str) -> None:
        self.events: list[Event] = []
        self.known: set[UUID] = set()
        self.consumer = Consumer(group)
        self.consumer.on(AccountActivated)(self.on_activated)

    async def on_activated(self, session: AsyncSession, event: AccountActivated) -> None:
        self.events.append(event)

    def times(self, event: Event) -> int:
        return sum(one.id == event.id for one in self.events)


def runner(applied: Consumer, database: Database, stack: Stack) -> Runner:
    return Runner(applied, database=database, bootstrap=stack.kafka_bootstrap, clock=SystemClock())


async def test_an_event_leaves_only_when_its_transaction_commits(
    database: Database, producer: Producer, kafka_records: KafkaRecords
) -> None:
    kept, dropped = activated(), activated()
    with suppress(RuntimeError):
        async with database.transaction() as session:
            await outbox.add(session, dropped)
            raise RuntimeError
    async with database.transaction() as session:
        await outbox.add(session, kept)

    async with running(Relay(database, producer)):
        await _relayed(database)

    values = b"".join(value or b"" for _, value in await kafka_records(AccountActivated.type))
    assert str(kept.id).encode() in values
    assert str(dropped.id).encode() not in values


async def _relayed(database: Database) -> None:
    async with asyncio.timeout(10):
        while True:
            async with database.reading() as session:
                if await outbox.waiting(session) == 0:
                    return
            await asyncio.sleep(0.02)


async def test_two_relays_of_one_service_publish_each_event_once_and_in_order(
    database: Database, stack: Stack, producer: Producer, kafka_records: KafkaRecords
) -> None:
    account_id = uuid4()
    events = [activated(account_id) for _ in range(300)]
    second = Producer(stack.kafka_bootstrap, client_id="second")

    async with running(Relay(database, producer, batch=7), Relay(database, second, batch=7)):
        for event in events:
            async with database.transaction() as session:
                await outbox.add(session, event)
        await _relayed(database)
    await second.stop()

    found = [
        json.loads(value)["id"]
        for key, value in await kafka_records(AccountActivated.type)
        if key == str(account_id).encode()
    ]
    assert found == [str(event.id) for event in events]


async def test_a_redelivered_event_is_applied_once_and_a_bad_record_goes_to_the_dlq_alone(
    database: Database,
    stack: Stack,
    producer: Producer,
    group: str,
    skip_to_end: SkipToEnd,
    kafka_records: KafkaRecords,
) -> None:
    await skip_to_end(group)
    applied = Applied(group)
    first, second = activated(), activated()
    topic = AccountActivated.type
    await producer.send_all(
        [
            (topic, b"k", first.encode("auth")),
            (topic, b"k", b"{broken"),
            (topic, b"k", first.encode("auth")),
            (topic, b"k", second.encode("auth")),
        ]
    )

    async with running(runner(applied.consumer, database, stack), Relay(database, producer)):
        await until(lambda: applied.times(second))
        await producer.send(topic, b"other", first.encode("auth"))
        await producer.send(topic, b"other", (last := activated()).encode("auth"))
        await until(lambda: applied.times(last))
        await _relayed(database)

    assert (applied.times(first), applied.times(second)) == (1, 1)
    asides = [json.loads(value) for _, value in await kafka_records(f"{topic}.dlq")]
    mine = [aside for aside in asides if aside["group"] == group]
    assert [aside["reason"].split(":")[0] for aside in mine] == ["not JSON"]
    assert mine[0]["origin"]["topic"] == topic
    grown = b"".join(value or b"" for _, value in await kafka_records("ledger.dlq-grew.v1"))
    assert b"not JSON" in grown


async def test_the_same_id_with_other_content_is_an_alarm_and_the_first_stands(
    database: Database,
    stack: Stack,
    producer: Producer,
    group: str,
    skip_to_end: SkipToEnd,
    kafka_records: KafkaRecords,
) -> None:
    await skip_to_end(group)
    applied = Applied(group)
    first = activated()
    other = activated(event_id=first.id)
    for event in (first, other):
        await producer.send(AccountActivated.type, b"k", event.encode("auth"))

    async with running(runner(applied.consumer, database, stack), Relay(database, producer)):
        await producer.send(AccountActivated.type, b"k", (last := activated()).encode("auth"))
        await until(lambda: applied.times(last))
        await _relayed(database)

    assert [one for one in applied.events if one.id == first.id] == [first]
    asides = [json.loads(value) for _, value in await kafka_records(f"{AccountActivated.type}.dlq")]
    assert any(aside["group"] == group and "other content" in aside["reason"] for aside in asides)


class RejectedError(DomainError):
    code = "rejected_here"


async def test_a_domain_error_costs_only_its_record_and_undoes_what_its_handler_wrote(
    database: Database,
    stack: Stack,
    producer: Producer,
    group: str,
    skip_to_end: SkipToEnd,
    kafka_records: KafkaRecords,
) -> None:
    await skip_to_end(group)
    bad, good = activated(), activated()
    seen: list[UUID] = []
    consumer = Consumer(group)

    @consumer.on(AccountActivated)
    async def on_activated(session: AsyncSession, event: AccountActivated) -> None:
        await outbox.add(
            session,
            AccountCreated(
                id=event.id, time=event.time, account_id=event.account_id, kind="team", owner_user_id=event.id
            ),
        )
        if event.id == bad.id:
            raise RejectedError("not this one")
        seen.append(event.id)

    for event in (bad, good):
        await producer.send(AccountActivated.type, b"k", event.encode("auth"))
    async with running(runner(consumer, database, stack), Relay(database, producer)):
        await until(lambda: good.id in seen)
        await _relayed(database)

    created = b"".join(value or b"" for _, value in await kafka_records(AccountCreated.type))
    assert str(good.id).encode() in created
    assert str(bad.id).encode() not in created
    asides = [json.loads(value) for _, value in await kafka_records(f"{AccountActivated.type}.dlq")]
    assert any(aside["reason"] == "rejected_here: not this one" for aside in asides)


async def test_an_event_that_names_something_missing_waits_and_is_applied_when_it_appears(
    database: Database, stack: Stack, producer: Producer, group: str, skip_to_end: SkipToEnd
) -> None:
    await skip_to_end(group)
    accounts: set[UUID] = set()
    granted: list[UUID] = []
    consumer = Consumer(group)

    @consumer.on(AccountActivated)
    async def on_activated(session: AsyncSession, event: AccountActivated) -> None:
        if event.account_id not in accounts:
            raise MissingReferentError(f"account:{event.account_id}")
        granted.append(event.account_id)

    @consumer.on(AccountCreated)
    async def on_created(session: AsyncSession, event: AccountCreated) -> None:
        accounts.add(event.account_id)
        await parking.release(session, f"account:{event.account_id}")

    early = activated()
    created = AccountCreated(
        id=uuid4(), time=CLOCK.now(), account_id=early.account_id, kind="personal", owner_user_id=uuid4()
    )
    async with running(runner(consumer, database, stack)):
        await producer.send(AccountActivated.type, early.key.encode(), early.encode("auth"))
        await asyncio.sleep(0.5)
        assert granted == []
        await producer.send(AccountCreated.type, created.key.encode(), created.encode("auth"))
        await until(lambda: granted)
        await asyncio.sleep(0.2)

    assert granted == [early.account_id]
    async with database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(parked_table)) == 0


async def test_a_batch_handler_rejects_one_record_and_the_others_are_applied(
    database: Database,
    stack: Stack,
    producer: Producer,
    group: str,
    skip_to_end: SkipToEnd,
    kafka_records: KafkaRecords,
) -> None:
    await skip_to_end(group)
    events = [activated() for _ in range(5)]
    seen: list[UUID] = []
    consumer = Consumer(group)

    @consumer.on_batch(AccountActivated)
    async def on_batch(session: AsyncSession, batch: Batch) -> None:
        for received in batch.received:
            if received.event.id == events[2].id:
                batch.reject(received, "the third one")
            else:
                seen.append(received.event.id)

    await producer.send_all([(AccountActivated.type, b"k", event.encode("auth")) for event in events])
    async with running(runner(consumer, database, stack), Relay(database, producer)):
        await until(lambda: len(seen) == 4)
        await _relayed(database)

    asides = [json.loads(value) for _, value in await kafka_records(f"{AccountActivated.type}.dlq")]
    assert any(aside["group"] == group and aside["reason"] == "the third one" for aside in asides)


async def test_a_batch_whose_database_fails_is_tried_again_until_it_holds(
    database: Database, stack: Stack, producer: Producer, group: str, skip_to_end: SkipToEnd
) -> None:
    await skip_to_end(group)
    tries = 0
    consumer = Consumer(group)

    @consumer.on(AccountActivated)
    async def on_activated(session: AsyncSession, event: AccountActivated) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise OSError("the connection broke")

    run = runner(consumer, database, stack)
    await producer.send(AccountActivated.type, b"k", activated().encode("auth"))
    async with running(run):
        await until(lambda: tries == 3)
        await asyncio.sleep(0.3)
        await run.live()
        await run.ready()

    assert tries == 3
    async with database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(inbox_table)) == 1


async def test_a_record_that_breaks_its_handler_is_set_aside_and_the_others_are_applied(
    database: Database,
    stack: Stack,
    producer: Producer,
    group: str,
    skip_to_end: SkipToEnd,
    kafka_records: KafkaRecords,
) -> None:
    await skip_to_end(group)
    events = [activated() for _ in range(3)]
    seen: list[UUID] = []
    consumer = Consumer(group)

    @consumer.on(AccountActivated)
    async def on_activated(session: AsyncSession, event: AccountActivated) -> None:
        if event.id == events[1].id:
            raise KeyError("a bug")
        seen.append(event.id)

    await producer.send_all([(AccountActivated.type, b"k", event.encode("auth")) for event in events])
    async with running(runner(consumer, database, stack), Relay(database, producer)):
        await until(lambda: events[2].id in seen)
        await _relayed(database)

    async with database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(inbox_table)) == 2
    asides = [json.loads(value) for _, value in await kafka_records(f"{AccountActivated.type}.dlq")]
    assert any(aside["group"] == group and aside["reason"] == "cannot be applied: KeyError" for aside in asides)


async def test_a_state_reader_has_everything_before_it_says_so_and_goes_on(stack: Stack, producer: Producer) -> None:
    states: dict[UUID, UserChanged] = {}
    user = UserChanged(id=uuid4(), time=CLOCK.now(), user_id=uuid4(), version=1, state="active", operator=False)
    await producer.send(UserChanged.type, user.key.encode(), user.encode("auth"))
    reader = StateReader(
        stack.kafka_bootstrap,
        {UserChanged: lambda event: states.__setitem__(event.user_id, event)},
        clock=SystemClock(),
        client_id="test",
    )

    async with running(reader):
        async with asyncio.timeout(10):
            await reader.caught_up.wait()
        assert states[user.user_id].state == "active"
        later = user.model_copy(update={"id": uuid4(), "version": 2, "state": "disabled"})
        await producer.send(UserChanged.type, later.key.encode(), later.encode("auth"))
        await until(lambda: states[user.user_id].state == "disabled", 5)
        assert reader.age_s() < 5


async def test_sending_to_a_kafka_that_is_not_there_fails_within_its_bound() -> None:
    producer = Producer("127.0.0.1:9", client_id="nobody", timeout_s=1.0)
    began = asyncio.get_running_loop().time()

    with pytest.raises(ProducerError):
        await producer.send("topic", b"k", b"v")

    assert asyncio.get_running_loop().time() - began < 8

"""Batches in lanes: transactions side by side, by partition; what fails is tried again by itself."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, ClassVar
from uuid import UUID, uuid4

from contracts.event import Event
from kit.clock import ManualClock, SystemClock
from kit.consumer import Batch, Consumer, Lanes
from kit.database import Database
from kit.received import StoredRecord
from kit.runner import Runner

LANES = 3


class Counted(Event):
    """Comes in batches."""

    type: ClassVar[str] = "test.counted.v1"
    account_id: UUID


class Named(Event):
    """Comes one by one."""

    type: ClassVar[str] = "test.named.v1"
    account_id: UUID


class NoDatabase(Database):
    """Transactions that hold nothing."""

    def __init__(self) -> None:
        self.on_outbox, self.on_released = [], []
        self.begun = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        self.begun += 1
        yield None


def record(event: type[Event], partition: int) -> StoredRecord:
    made = event(id=uuid4(), time=ManualClock().now(), account_id=uuid4())  # type: ignore[call-arg]
    return StoredRecord(event.type, partition, 0, b"key", made.encode("test"))


async def applied(handler: Callable[[int], Any], records: list[StoredRecord]) -> int:
    """Run one batch of these through a runner; how many transactions that took."""
    consumer = Consumer("test")

    @consumer.on_batch(Counted)
    async def on_counted(_session: Any, batch: Batch) -> None:
        partitions = {one.record.partition % LANES for one in batch.received}
        assert len(partitions) == 1
        await handler(partitions.pop())

    return await transactions(consumer, records, lane_records=1)


async def transactions(consumer: Consumer, records: list[StoredRecord], *, lane_records: int) -> int:
    database = NoDatabase()
    runner = Runner(
        consumer,
        database=database,
        bootstrap="127.0.0.1:1",
        clock=SystemClock(),
        lanes=Lanes(LANES, records=lane_records),
    )
    await runner._on_batch(SimpleNamespace(raw_message=tuple(records)))  # type: ignore[arg-type]
    assert runner._applying is not None
    await runner._applying
    return database.begun


async def test_the_lanes_of_a_batch_are_under_way_at_the_same_time() -> None:
    all_begun = asyncio.Barrier(LANES)

    async def handler(_lane: int) -> None:
        async with asyncio.timeout(5):
            await all_begun.wait()

    assert await applied(handler, [record(Counted, partition) for partition in range(2 * LANES)]) == LANES


async def test_a_lane_that_failed_is_tried_again_and_the_others_are_not() -> None:
    tries: Counter[int] = Counter()

    async def handler(lane: int) -> None:
        tries[lane] += 1
        if lane == 1 and tries[lane] == 1:
            raise OSError("the database is away for a moment")

    await applied(handler, [record(Counted, partition) for partition in range(LANES)])

    assert tries == {0: 1, 1: 2, 2: 1}


async def test_a_batch_too_small_for_lanes_is_one_transaction() -> None:
    consumer, seen = Consumer("test"), []

    @consumer.on_batch(Counted)
    async def on_counted(_session: Any, batch: Batch) -> None:
        seen.append(len(batch.received))

    records = [record(Counted, partition) for partition in range(LANES)]

    assert await transactions(consumer, records, lane_records=2) == 1
    assert seen == [LANES]


def test_what_has_a_handler_of_its_own_comes_before_the_lanes() -> None:
    consumer = Consumer("test")

    @consumer.on(Named)
    async def on_named(_session: Any, _event: Named) -> None: ...

    @consumer.on_batch(Counted)
    async def on_counted(_session: Any, _batch: Batch) -> None: ...

    broken = StoredRecord(Counted.type, 0, 9, b"key", b"{")
    decoded = consumer.decode([record(Counted, 0), record(Named, 1), record(Counted, 4), broken])

    first, lanes = consumer.parts(decoded, lanes=LANES)

    ((alone, bad),) = first
    assert [one.event.type for one in alone] == [Named.type]
    assert [one.record for one in bad] == [broken]
    assert [[one.record.partition for one in good] for good, _ in lanes] == [[0], [4]]

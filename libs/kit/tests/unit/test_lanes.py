"""Batches in lanes: transactions side by side, by key; what fails is tried again by itself."""

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


Lane = list[tuple[bytes | None, int]]
"""Key and offset of what one transaction holds."""


def record(event: type[Event], offset: int, *, keys: int = 60) -> StoredRecord:
    """All of one partition, as most of a large batch is."""
    made = event(id=uuid4(), time=ManualClock().now(), account_id=uuid4())  # type: ignore[call-arg]
    return StoredRecord(event.type, 0, offset, b"%d" % (offset % keys), made.encode("test"))


async def applied(handler: Callable[[Lane], Any], records: list[StoredRecord]) -> int:
    """Run one batch of these through a runner; how many transactions that took."""
    consumer = Consumer("test")

    @consumer.on_batch(Counted)
    async def on_counted(_session: Any, batch: Batch) -> None:
        await handler([(one.record.key, one.record.offset) for one in batch.received])

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
    await begin(runner, records)
    await ended(runner)
    return database.begun


async def begin(runner: Runner, records: list[StoredRecord]) -> None:
    """Hand over a batch, as FastStream does; returns when the next one may be fetched."""
    await runner._on_batch(SimpleNamespace(raw_message=tuple(records)))  # type: ignore[arg-type]


async def ended(runner: Runner) -> None:
    await asyncio.wait({batch.task for batch in runner._under_way if batch.task is not None})


async def test_the_lanes_of_a_batch_are_under_way_at_the_same_time() -> None:
    all_begun = asyncio.Barrier(LANES)

    async def handler(_lane: Lane) -> None:
        async with asyncio.timeout(5):
            await all_begun.wait()

    assert await applied(handler, [record(Counted, offset) for offset in range(60)]) == LANES


async def test_what_has_one_key_is_in_one_lane_in_its_order_and_lanes_are_about_as_long() -> None:
    lanes: list[Lane] = []

    async def handler(lane: Lane) -> None:
        lanes.append(lane)

    await applied(handler, [record(Counted, offset, keys=300) for offset in range(900)])

    keys = [{key for key, _ in lane} for lane in lanes]
    assert sum(map(len, keys)) == len(set[bytes | None]().union(*keys)) == 300
    assert all(lane == sorted(lane, key=lambda one: one[1]) for lane in lanes)
    assert all(200 < len(lane) < 400 for lane in lanes)


async def test_a_lane_that_failed_is_tried_again_and_the_others_are_not() -> None:
    tries: Counter[int] = Counter()

    async def handler(lane: Lane) -> None:
        tries.update(offset for _, offset in lane)
        if tries[0] == 1 and (b"0", 0) in lane:
            raise OSError("the database is away for a moment")

    await applied(handler, [record(Counted, offset) for offset in range(60)])

    assert tries[0] == 2
    assert Counter(tries.values()).keys() == {1, 2}
    assert sum(tries.values()) < 2 * len(tries)


async def test_a_batch_too_small_for_lanes_is_one_transaction() -> None:
    consumer, seen = Consumer("test"), []

    @consumer.on_batch(Counted)
    async def on_counted(_session: Any, batch: Batch) -> None:
        seen.append(len(batch.received))

    records = [record(Counted, offset) for offset in range(LANES)]

    assert await transactions(consumer, records, lane_records=2) == 1
    assert seen == [LANES]


def test_what_has_a_handler_of_its_own_comes_before_the_lanes() -> None:
    consumer = Consumer("test")

    @consumer.on(Named)
    async def on_named(_session: Any, _event: Named) -> None: ...

    @consumer.on_batch(Counted)
    async def on_counted(_session: Any, _batch: Batch) -> None: ...

    broken = StoredRecord(Counted.type, 0, 9, b"key", b"{")
    decoded = consumer.decode([record(Counted, 0), record(Named, 1), record(Counted, 60), broken])

    first, lanes = consumer.parts(decoded, lanes=LANES)

    ((alone, bad),) = first
    assert [one.event.type for one in alone] == [Named.type]
    assert [one.record for one in bad] == [broken]
    assert [[one.record.offset for one in good] for good, _ in lanes if good] == [[0, 60]]
    assert len(lanes) == LANES

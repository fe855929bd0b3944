"""Random schedules of batches that overlap, fail and are given back: nothing is lost, overtaken or committed early."""

import asyncio
import random
from collections import defaultdict
from types import SimpleNamespace
from typing import Any, ClassVar
from uuid import UUID, uuid4

from aiokafka import TopicPartition

from contracts.event import Event
from kit.clock import ManualClock
from kit.consumer import Batch, Consumer, Lanes
from kit.database import Database
from kit.received import StoredRecord
from kit.runner import Runner

LANES = Lanes(3, records=4)
PARTITIONS = 2
RECORDS = 150
KEYS = 12
SCHEDULES = 40
TRANSIENT, LONG = 0.1, 0.1


class Counted(Event):
    type: ClassVar[str] = "test.counted.v1"
    account_id: UUID


class NoDatabase(Database):
    """Transactions that hold nothing."""

    def __init__(self) -> None:
        self.on_outbox, self.on_released = [], []

    def transaction(self) -> Any:
        return _Nothing()


class _Nothing:
    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


class Log:
    """What a consumer of Kafka asks of it: two partitions, a position that can be set back, what is committed."""

    def __init__(self, applied: set[tuple[int, int]], rng: random.Random) -> None:
        self.partitions = [TopicPartition(Counted.type, number) for number in range(PARTITIONS)]
        self.records = {
            partition: [_record(partition, offset) for offset in range(RECORDS)] for partition in self.partitions
        }
        self.position = dict.fromkeys(self.partitions, 0)
        self.committed = dict.fromkeys(self.partitions, 0)
        self._applied, self._rng = applied, rng

    def assignment(self) -> set[TopicPartition]:
        return set(self.partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.position[partition] = offset

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        for _ in range(self._rng.randint(0, 30)):
            await asyncio.sleep(0)
        for partition, offset in offsets.items():
            assert offset > self.committed[partition], "a later batch was committed before"
            unapplied = [below for below in range(offset) if (partition.partition, below) not in self._applied]
            assert not unapplied, "what was not applied is committed"
            self.committed[partition] = offset

    def fetch(self) -> tuple[StoredRecord, ...]:
        some: list[StoredRecord] = []
        for partition in self._rng.sample(self.partitions, self._rng.randint(1, PARTITIONS)):
            position = self.position[partition]
            some += self.records[partition][position : position + self._rng.randint(8, 25)]
            self.position[partition] = max(
                (one.offset + 1 for one in some if one.partition == partition.partition), default=position
            )
        return tuple(some)


def _record(partition: TopicPartition, offset: int) -> StoredRecord:
    """What has one key is in one partition."""
    made = Counted(id=uuid4(), time=ManualClock().now(), account_id=uuid4())
    key = b"%d-%d" % (partition.partition, offset % KEYS)
    return StoredRecord(Counted.type, partition.partition, offset, key, made.encode("test"))


async def run_schedule(seed: int) -> None:
    rng, clock = random.Random(seed), ManualClock()
    applied: set[tuple[int, int]] = set()
    first: dict[bytes | None, list[int]] = defaultdict(list)
    consumer = Consumer("test")

    @consumer.on_batch(Counted)
    async def on_counted(_session: Any, batch: Batch) -> None:
        for _ in range(rng.randint(0, 30)):
            await asyncio.sleep(0)
        luck = rng.random()
        if luck < TRANSIENT + LONG:
            clock.advance(61 if luck < LONG else 0)
            raise OSError("the database is away for a moment")
        for one in batch.received:
            if (place := (one.record.partition, one.record.offset)) not in applied:
                applied.add(place)
                first[one.record.key].append(one.record.offset)

    runner = Runner(consumer, database=NoDatabase(), bootstrap="127.0.0.1:1", clock=clock, lanes=LANES)
    kafka = Log(applied, rng)
    runner._subscriber.consumer = kafka
    async with asyncio.timeout(60):
        while min(kafka.committed.values()) < RECORDS:
            if records := kafka.fetch():
                await runner._on_batch(SimpleNamespace(raw_message=records))  # type: ignore[arg-type]
            else:
                await asyncio.sleep(0.01)

    assert len(applied) == PARTITIONS * RECORDS
    assert all(offsets == sorted(offsets) for offsets in first.values())


async def test_nothing_is_lost_or_overtaken_or_committed_early_whatever_fails_when() -> None:
    async with asyncio.TaskGroup() as group:
        for seed in range(SCHEDULES):
            group.create_task(run_schedule(seed))

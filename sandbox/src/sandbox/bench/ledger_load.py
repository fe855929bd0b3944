"""Usage events for the ledger, and how fast it gets through them, told by the offsets that it commits."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Self
from uuid import UUID, uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from contracts.gateway import Counts, UsageRecorded
from kit.clock import SystemClock
from kit.ids import uuid7
from sandbox.bench.product import Measured

GROUP: Final = "ledger"
LOOK_S: Final = 0.05
WAIT_S: Final = 600.0


def usage(account_id: UUID, clock: SystemClock) -> UsageRecorded:
    """A plain call that has just ended."""
    now = clock.now()
    return UsageRecorded(
        id=uuid7(clock),
        time=now,
        account_id=account_id,
        gateway_instance="bench",
        surface="/v1/messages",
        streamed=True,
        model_asked="claude-sonnet-4-5",
        model_served="claude-sonnet-4-5",
        route="anthropic",
        outcome="completed",
        basis="provider",
        http_status=200,
        counts=Counts(input_tokens=90, cache_read_tokens=20, output_tokens=30),
        admitted_at=now,
        ended_at=now + timedelta(seconds=1),
        price_book_version=1,
        markup_bps=1500,
    )


async def applied_per_s(measured: Measured, accounts: Sequence[UUID], *, events: int) -> float:
    """The ledger is away while the events are written, so that it finds them all waiting."""
    await measured.kill("ledger")
    bootstrap, clock = measured.stack.kafka_bootstrap, SystemClock()
    made = [usage(accounts[number * 7919 % len(accounts)], clock) for number in range(events)]
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=20, max_batch_size=1 << 18) as kafka:
        sent = [await kafka.send(one.type, one.encode("gateway"), key=one.key.encode()) for one in made]
        await asyncio.gather(*sent)
    async with asyncio.timeout(WAIT_S), Lag(bootstrap) as lag:
        waiting = await lag.records()
        await measured.start("ledger")
        first, began = await lag.falls_below(waiting)
        _, ended = await lag.falls_below(1)
    return first / (ended - began)


class Lag:
    """How many usage events the ledger has not committed yet."""

    def __init__(self, bootstrap: str) -> None:
        self._admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
        self._ends: dict[TopicPartition, int] = {}

    async def __aenter__(self) -> Self:
        await self._admin.start()
        await self._consumer.start()
        topic = UsageRecorded.type
        (described,) = await self._admin.describe_topics([topic])
        partitions = [TopicPartition(topic, one["partition"]) for one in described["partitions"]]
        self._ends = await self._consumer.end_offsets(partitions)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()
        await self._admin.close()

    async def records(self) -> int:
        committed = await self._admin.list_consumer_group_offsets(GROUP)
        done = {place: max(0, offset.offset) for place, offset in committed.items() if place in self._ends}
        return sum(end - done.get(place, 0) for place, end in self._ends.items())

    async def falls_below(self, bound: int) -> tuple[int, float]:
        """What is left once less than that waits, and when it was seen."""
        while (left := await self.records()) >= bound:  # noqa: ASYNC110  # the offsets are another process's
            await asyncio.sleep(LOOK_S)
        return left, time.perf_counter()


def new_accounts(count: int) -> list[UUID]:
    return [uuid4() for _ in range(count)]

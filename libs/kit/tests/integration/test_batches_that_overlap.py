"""Lanes of a batch begin while the slowest of the batch before is still under way: nothing overtakes, or is lost."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from contracts.auth import AccountActivated
from kit.clock import Clock, ManualClock, SystemClock
from kit.consumer import Batch, Consumer, Lanes
from kit.database import Database
from kit.producer import Producer
from kit.runner import Runner
from sandbox.stack import Stack
from sandbox.testing import SkipToEnd

pytestmark = pytest.mark.long

Until = Callable[..., Awaitable[None]]
Running = Callable[..., AbstractAsyncContextManager[None]]
MakeEvent = Callable[..., AccountActivated]
LANES = Lanes(3, records=1)
# A batch is what one partition has, or two: so many keys of each that no lane is empty.
AT_ONCE = 120
KEYS = 360
EVENTS = 3 * KEYS


class Lined:
    """A consumer in lanes whose handler a test can change; what it applied, by key, with repeats."""

    def __init__(self, group: str) -> None:
        self.begun: list[set[UUID]] = []
        self.applied: dict[UUID, list[UUID]] = defaultdict(list)
        self.before: Callable[[set[UUID]], Awaitable[None]] = self.at_once
        self.consumer = Consumer(group)
        self.consumer.on_batch(AccountActivated)(self._on_batch)

    async def at_once(self, _keys: set[UUID]) -> None: ...

    async def _on_batch(self, _session: Any, batch: Batch) -> None:
        keys = {one.event.account_id for one in batch.received}
        self.begun.append(keys)
        await self.before(keys)
        for one in batch.received:
            self.applied[one.event.account_id].append(one.event.id)

    def is_overlapping(self) -> bool:
        """Whether those two lanes of the second batch began that do not wait for the first lane of the first one."""
        return len(self.begun) == LANES.at_most + 2

    def first_of_each(self) -> dict[UUID, list[UUID]]:
        return {key: list(dict.fromkeys(ids)) for key, ids in self.applied.items()}

    def runner(self, database: Database, stack: Stack, clock: Clock) -> Runner:
        return Runner(
            self.consumer,
            database=database,
            bootstrap=stack.kafka_bootstrap,
            clock=clock,
            max_records=AT_ONCE,
            lanes=LANES,
        )


@pytest.fixture
async def lined(group: str, skip_to_end: SkipToEnd) -> Lined:
    await skip_to_end(group)
    return Lined(group)


@pytest.fixture
async def sent(producer: Producer, lined: Lined, activated: MakeEvent) -> dict[UUID, list[UUID]]:
    """What waits in Kafka, by key: several batches."""
    keys = [uuid4() for _ in range(KEYS)]
    events = [activated(keys[number % KEYS]) for number in range(EVENTS)]
    records = [(AccountActivated.type, event.key.encode(), event.encode("auth")) for event in events]
    await producer.send_all(records)
    return {key: [event.id for event in events if event.account_id == key] for key in keys}


async def committed(stack: Stack, group: str) -> int:
    """All partitions' offsets in one sum."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap)
    await admin.start()
    try:
        return sum(one.offset for one in (await admin.list_consumer_group_offsets(group)).values())
    finally:
        await admin.close()


async def test_the_next_batch_is_under_way_while_a_lane_hangs_and_is_committed_behind_it(
    lined: Lined,
    sent: dict[UUID, list[UUID]],
    database: Database,
    stack: Stack,
    group: str,
    until: Until,
    running: Running,
) -> None:
    released = asyncio.Event()

    async def hang(keys: set[UUID]) -> None:
        if keys is lined.begun[0]:
            await released.wait()

    lined.before = hang
    before = await committed(stack, group)
    async with running(lined.runner(database, stack, SystemClock())):
        await until(lined.is_overlapping)
        await asyncio.sleep(0.3)
        assert lined.is_overlapping()
        assert not lined.begun[0] & lined.applied.keys()
        assert await committed(stack, group) == before
        released.set()
        await until(lambda: lined.applied == sent)
    # Each once, in its order; and when it stopped, the last batch was committed too.
    assert await committed(stack, group) == before + EVENTS


async def test_what_began_behind_a_batch_that_is_given_back_comes_again_in_its_order(
    lined: Lined,
    sent: dict[UUID, list[UUID]],
    database: Database,
    stack: Stack,
    until: Until,
    running: Running,
) -> None:
    clock, failed = ManualClock(), asyncio.Event()

    async def fail_long(keys: set[UUID]) -> None:
        if keys is lined.begun[0]:
            await until(lined.is_overlapping)
            clock.advance(61)
            failed.set()
            raise ConnectionRefusedError

    lined.before = fail_long
    async with running(lined.runner(database, stack, clock)):
        await until(lambda: lined.first_of_each() == sent)

    assert failed.is_set()
    # Those lanes were through, and were applied again: what has handlers of batches dedupes by itself.
    assert lined.applied != sent


async def test_a_stop_lets_what_is_under_way_end_and_the_rest_comes_to_the_next_member(
    lined: Lined,
    sent: dict[UUID, list[UUID]],
    database: Database,
    stack: Stack,
    until: Until,
    running: Running,
) -> None:
    released = asyncio.Event()

    async def wait(keys: set[UUID]) -> None:
        if keys is lined.begun[0]:
            await released.wait()

    lined.before = wait
    async with running(lined.runner(database, stack, SystemClock())):
        await until(lined.is_overlapping)
        asyncio.get_running_loop().call_later(0.3, released.set)

    assert len(lined.begun) == 2 * LANES.at_most
    async with running(lined.runner(database, stack, SystemClock())):
        await until(lambda: lined.applied == sent)

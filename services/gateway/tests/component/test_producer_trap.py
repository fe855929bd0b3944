"""Kafka that stops, restarts or hangs under load: nothing is lost, nothing changes, and the process recovers by itself.

The trap is aiokafka's (platform.md 0.2): a producer that waits for ever, or never sends again. A broker of its own, so
that nobody else's tests lose theirs.
"""

import asyncio
import os
import signal
import time
from collections import defaultdict
from contextlib import asynccontextmanager, suppress
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.gateway import UsageRecorded
from gateway.usage.durability import Durability, DurabilitySettings
from kit.clock import SystemClock
from kit.ids import uuid7
from sandbox.stack.kafka import Kafka
from sandbox.stack.ports import free_port_base
from sandbox.stack.topics import create_topics, end_offsets

pytestmark = pytest.mark.long

PER_S = 400
BOUND_S = 1.0
SLOWEST_S = BOUND_S + 1.5


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kafka(tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("broker"), free_port_base(2)
    broker = Kafka(folder, port=port, controller_port=port + 1, log_path=folder / "kafka.log")
    await broker.start()
    await create_topics(broker.bootstrap)
    yield broker
    await broker.stop()


@asynccontextmanager
async def durability_on(kafka, folder):
    settings = DurabilitySettings(folder, bound_s=BOUND_S)
    running = Durability(settings, bootstrap=kafka.bootstrap, instance="g", clock=SystemClock())
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


class Load:
    """Stores events at a steady rate and remembers who heard what, and after how long."""

    def __init__(self, durability) -> None:
        self._publisher = durability.publisher
        self._accounts = [uuid4() for _ in range(20)]
        self.made: dict[UUID, bytes] = {}
        self.heard: dict[UUID, tuple[bool, float]] = {}

    def store(self) -> None:
        call_id = uuid7(SystemClock())
        value = b'{"id":"%b"}' % str(call_id).encode() * 20
        self.made[call_id] = value
        made_s = time.monotonic()
        self._publisher.store_soon(
            self._accounts[len(self.made) % 20],
            call_id,
            value,
            lambda ok: self.heard.__setitem__(call_id, (ok, time.monotonic() - made_s)),
        )

    async def run(self) -> None:
        began_s = time.monotonic()
        while True:
            while len(self.made) < (time.monotonic() - began_s) * PER_S:
                self.store()
            await asyncio.sleep(0.005)


@asynccontextmanager
async def load_on(durability):
    load = Load(durability)
    task = asyncio.create_task(load.run())
    try:
        yield load
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition, *, timeout_s: float = 40) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  # another task's state
            await asyncio.sleep(0.05)


async def in_kafka(kafka) -> dict[bytes, set[bytes]]:
    """Values of the usage topic by event, for all partitions."""
    ends = await end_offsets(kafka.bootstrap, {UsageRecorded.type})
    found: dict[bytes, set[bytes]] = defaultdict(set)
    async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, enable_auto_commit=False) as consumer:
        consumer.assign(list(ends))
        await consumer.seek_to_beginning(*ends)
        while any([await consumer.position(TopicPartition(*at)) < end for at, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    found[record.value[7:43]].add(record.value)
    return found


async def assert_nothing_lost(kafka, durability, load: Load) -> None:
    await until(lambda: len(load.heard) == len(load.made))
    await until(lambda: durability.publisher.kafka_up and not durability.spool.used_bytes)
    found = await in_kafka(kafka)
    assert all(ok for ok, _ in load.heard.values())
    assert {str(call_id).encode(): {value} for call_id, value in load.made.items()} == {
        key: values for key, values in found.items() if UUID(key.decode()) in load.made
    }


async def test_a_broker_that_stops_and_starts_under_load_costs_no_event(kafka, tmp_path):
    async with durability_on(kafka, tmp_path) as durability, load_on(durability) as load:
        await asyncio.sleep(1)
        for _ in range(2):
            await kafka.stop()
            await asyncio.sleep(1)
            assert not durability.publisher.kafka_up
            assert durability.publisher.room
            await kafka.start()
            await until(lambda: durability.publisher.kafka_up)
            await asyncio.sleep(0.5)
        await asyncio.sleep(0.5)

    async with durability_on(kafka, tmp_path) as durability:
        await assert_nothing_lost(kafka, durability, load)
        assert len(load.made) > PER_S * 4
        assert max(waited for _, waited in load.heard.values()) < SLOWEST_S


async def test_a_broker_that_hangs_is_noticed_within_the_bound_and_used_again_when_it_wakes(kafka, tmp_path):
    async with durability_on(kafka, tmp_path) as durability:
        async with load_on(durability) as load:
            await asyncio.sleep(1)
            os.kill(kafka.pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(3 * BOUND_S)
                assert not durability.publisher.kafka_up
                assert durability.spool.events > PER_S / 2
            finally:
                os.kill(kafka.pid, signal.SIGCONT)
            await until(lambda: durability.publisher.kafka_up)
            await asyncio.sleep(1)
        await assert_nothing_lost(kafka, durability, load)
        assert max(waited for _, waited in load.heard.values()) < SLOWEST_S


async def test_events_go_straight_to_kafka_again_after_it_was_away(kafka, tmp_path):
    async with durability_on(kafka, tmp_path) as durability:
        durability.links.doubt("test")
        load = Load(durability)
        load.store()
        await until(lambda: durability.publisher.kafka_up and not durability.spool.used_bytes)
        load.store()
        await until(lambda: len(load.heard) == 2)

        assert durability.spool.used_bytes == 0
        await assert_nothing_lost(kafka, durability, load)

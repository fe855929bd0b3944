"""A reader of state says how old the news are that it has not read, and never that it is current while it lags."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from contracts.auth import UserChanged
from kit.clock import SystemClock
from kit.producer import Producer
from kit.state import StateReader
from kit.tasks import Tasks
from sandbox.stack import Stack


@pytest.fixture
async def sender(stack: Stack, topics: list[str]) -> AsyncIterator[Producer]:
    producer = Producer(stack.kafka_bootstrap, client_id="test")
    yield producer
    await producer.stop()


@asynccontextmanager
async def running(reader: StateReader) -> AsyncIterator[None]:
    tasks = Tasks()
    tasks.start("reader", reader.run())
    yield
    await tasks.stop()


def user() -> UserChanged:
    return UserChanged(id=uuid4(), time=SystemClock().now(), user_id=uuid4(), version=1, state="active", operator=False)


async def test_it_is_current_only_once_all_that_was_published_has_been_handed_over(
    stack: Stack, sender: Producer, until
) -> None:
    events = [user() for _ in range(300)]
    await sender.send_all([(UserChanged.type, one.key.encode(), one.encode("auth")) for one in events])
    published_at = time.monotonic()
    awaited = {one.user_id for one in events}
    early: list[float] = []

    def slowly(event: UserChanged) -> None:
        if event.user_id in awaited:
            time.sleep(0.002)
            awaited.remove(event.user_id)
            early.append(reader.current_at)

    reader = StateReader(stack.kafka_bootstrap, {UserChanged: slowly}, clock=SystemClock(), client_id="test")
    async with running(reader):
        await until(lambda: not awaited)
        assert set(early) == {float("-inf")}
        await until(lambda: reader.current_at > published_at)
        assert reader.caught_up.is_set()
        assert reader.age_s() < 2


async def test_age_stays_small_while_it_follows(stack: Stack, sender: Producer, until) -> None:
    seen: list[UserChanged] = []
    reader = StateReader(stack.kafka_bootstrap, {UserChanged: seen.append}, clock=SystemClock(), client_id="test")
    async with running(reader):
        await until(reader.caught_up.is_set)
        ages = []
        for _ in range(10):
            one = user()
            await sender.send(UserChanged.type, one.key.encode(), one.encode("auth"))
            await until(lambda one=one: any(event.user_id == one.user_id for event in seen[-50:]))
            ages.append(reader.age_s())
        assert max(ages) < 3

"""A consumer that does not get on is seen, says why, and is set going again."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.testing import capture_logs

from contracts.auth import AccountActivated
from kit import parking
from kit.clock import ManualClock, SystemClock
from kit.consumer import Consumer
from kit.database import Database
from kit.errors import MissingReferentError
from kit.producer import Producer
from kit.runner import STUCK_AFTER_S, Runner
from kit.tables import parked_table
from sandbox.stack import Stack
from sandbox.testing import SkipToEnd

pytestmark = pytest.mark.long

Until = Callable[..., Awaitable[None]]
Running = Callable[..., AbstractAsyncContextManager[None]]
MakeEvent = Callable[..., AccountActivated]
Handler = Callable[[AsyncSession, AccountActivated], Awaitable[None]]
TOPIC = AccountActivated.type


class Shop:
    """A consumer whose handler can be changed while it runs."""

    def __init__(self, group: str) -> None:
        self.applied: list[UUID] = []
        self.handler: Handler = self.take
        self.consumer = Consumer(group)
        self.consumer.on(AccountActivated)(self._on_activated)

    async def _on_activated(self, session: AsyncSession, event: AccountActivated) -> None:
        await self.handler(session, event)

    async def take(self, _session: AsyncSession, event: AccountActivated) -> None:
        self.applied.append(event.id)


@pytest.fixture
async def shop(group: str, skip_to_end: SkipToEnd) -> Shop:
    await skip_to_end(group)
    return Shop(group)


async def send(producer: Producer, event: AccountActivated) -> None:
    await producer.send(TOPIC, event.key.encode(), event.encode("auth"))


def look_now(database: Database) -> None:
    """Wake what looks after consumers and parked events only every few seconds."""
    for wake in database.on_released:
        wake()


async def test_a_stuck_batch_makes_the_process_not_live_and_an_idle_one_does_not(
    shop: Shop,
    database: Database,
    stack: Stack,
    producer: Producer,
    until: Until,
    running: Running,
    activated: MakeEvent,
) -> None:
    clock, stuck, release = ManualClock(), asyncio.Event(), asyncio.Event()
    run = Runner(shop.consumer, database=database, bootstrap=stack.kafka_bootstrap, clock=clock)

    async def hang(_session: AsyncSession, event: AccountActivated) -> None:
        stuck.set()
        await release.wait()
        shop.applied.append(event.id)

    async with running(run):
        await send(producer, first := activated())
        await until(lambda: first.id in shop.applied)
        await asyncio.sleep(0.2)
        clock.advance(STUCK_AFTER_S * 10)
        await run.live()

        shop.handler = hang
        await send(producer, second := activated())
        await until(stuck.is_set)
        await run.live()
        clock.advance(STUCK_AFTER_S - 1)
        await run.live()
        clock.advance(2)
        with pytest.raises(RuntimeError, match="no progress"):
            await run.live()

        release.set()
        await until(lambda: second.id in shop.applied)
        await asyncio.sleep(0.2)
        await run.live()


async def test_a_consumer_that_stopped_polling_without_a_word_is_seen_while_records_wait(
    shop: Shop,
    database: Database,
    stack: Stack,
    producer: Producer,
    until: Until,
    running: Running,
    activated: MakeEvent,
) -> None:
    clock = ManualClock()
    run = Runner(shop.consumer, database=database, bootstrap=stack.kafka_bootstrap, clock=clock)

    async with running(run):
        await send(producer, first := activated())
        await until(lambda: first.id in shop.applied)
        kafka = run._subscriber.consumer
        kafka.pause(*kafka.assignment())
        await asyncio.sleep(0.3)
        await send(producer, activated())
        clock.advance(STUCK_AFTER_S + 1)
        await run.live()
        clock.advance(STUCK_AFTER_S + 1)
        with pytest.raises(RuntimeError, match="records wait"):
            await run.live()


async def test_a_consume_loop_that_ended_is_started_again(
    shop: Shop,
    database: Database,
    stack: Stack,
    producer: Producer,
    until: Until,
    running: Running,
    activated: MakeEvent,
) -> None:
    run = Runner(shop.consumer, database=database, bootstrap=stack.kafka_bootstrap, clock=SystemClock())

    async with running(run):
        await send(producer, first := activated())
        await until(lambda: first.id in shop.applied)
        for task in run._subscriber.tasks:
            task.cancel()
        await send(producer, second := activated())
        look_now(database)
        await until(lambda: second.id in shop.applied)

    assert shop.applied == [first.id, second.id]


async def test_readiness_says_why_while_batches_fail(
    shop: Shop,
    database: Database,
    stack: Stack,
    producer: Producer,
    until: Until,
    running: Running,
    activated: MakeEvent,
) -> None:
    run = Runner(shop.consumer, database=database, bootstrap=stack.kafka_bootstrap, clock=SystemClock())
    failed = asyncio.Event()

    async def fail(_session: AsyncSession, _event: AccountActivated) -> None:
        failed.set()
        raise ConnectionRefusedError

    with pytest.raises(RuntimeError, match="not connected"):
        await run.ready()
    shop.handler = fail
    async with running(run):
        await send(producer, event := activated())
        await until(failed.is_set)
        await asyncio.sleep(0.1)
        with pytest.raises(RuntimeError, match="batches fail: ConnectionRefusedError"):
            await run.ready()
        await run.live()

        shop.handler = shop.take
        await until(lambda: event.id in shop.applied)
        await asyncio.sleep(0.2)
        await run.ready()


async def test_a_batch_that_keeps_failing_is_given_back_and_fetched_anew(
    shop: Shop,
    database: Database,
    stack: Stack,
    producer: Producer,
    until: Until,
    running: Running,
    activated: MakeEvent,
) -> None:
    clock = ManualClock()
    run = Runner(shop.consumer, database=database, bootstrap=stack.kafka_bootstrap, clock=clock)
    tries = 0

    async def fail_long(_session: AsyncSession, _event: AccountActivated) -> None:
        nonlocal tries
        tries += 1
        clock.advance(61)
        raise ConnectionRefusedError

    shop.handler = fail_long
    async with running(run):
        await send(producer, first := activated())
        await send(producer, second := activated())
        await until(lambda: tries >= 2)
        shop.handler = shop.take
        await until(lambda: {first.id, second.id} <= set(shop.applied))
        await send(producer, third := activated())
        await until(lambda: third.id in shop.applied)

    assert sorted(shop.applied) == sorted({first.id, second.id, third.id})


async def test_a_batch_that_was_cut_short_by_a_stop_comes_to_the_next_member(
    shop: Shop,
    database: Database,
    stack: Stack,
    producer: Producer,
    until: Until,
    running: Running,
    activated: MakeEvent,
) -> None:
    begun = asyncio.Event()

    async def hang(_session: AsyncSession, _event: AccountActivated) -> None:
        begun.set()
        await asyncio.Event().wait()

    events = [activated() for _ in range(3)]
    shop.handler = hang
    cut = Runner(
        shop.consumer, database=database, bootstrap=stack.kafka_bootstrap, clock=SystemClock(), stop_timeout_s=0.5
    )
    async with running(cut):
        for event in events:
            await send(producer, event)
        await until(begun.is_set)

    shop.handler = shop.take
    async with running(Runner(shop.consumer, database=database, bootstrap=stack.kafka_bootstrap, clock=SystemClock())):
        # Soon: the one that was cut short has left the group, so nobody waits for its session to end.
        await until(lambda: len(shop.applied) >= 3, timeout_s=6)

    assert sorted(shop.applied) == sorted(event.id for event in events)


async def test_a_member_that_was_killed_frees_its_partitions_to_the_next(
    shop: Shop,
    database: Database,
    stack: Stack,
    producer: Producer,
    group: str,
    until: Until,
    running: Running,
    activated: MakeEvent,
) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    doomed = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("doomed_member.py")),
        stack.kafka_bootstrap,
        url,
        group,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await send(producer, before := activated())
        assert doomed.stdout is not None
        async with asyncio.timeout(15):
            assert (await doomed.stdout.readline()).decode().strip() == str(before.id)
        await asyncio.sleep(0.2)
    finally:
        doomed.kill()
        await doomed.wait()

    await send(producer, after := activated())
    async with running(Runner(shop.consumer, database=database, bootstrap=stack.kafka_bootstrap, clock=SystemClock())):
        await until(lambda: after.id in shop.applied, timeout_s=20)

    assert shop.applied == [after.id]


def gauge(name: str, group: str) -> float:
    return REGISTRY.get_sample_value(name, {"group": group}) or 0.0


async def test_parked_events_are_counted_and_too_old_ones_raise_an_alarm(
    shop: Shop,
    database: Database,
    stack: Stack,
    producer: Producer,
    group: str,
    until: Until,
    running: Running,
    activated: MakeEvent,
) -> None:
    missed: set[UUID] = set()

    async def miss(_session: AsyncSession, event: AccountActivated) -> None:
        missed.add(event.id)
        raise MissingReferentError("account:unknown")

    shop.handler = miss
    run = Runner(shop.consumer, database=database, bootstrap=stack.kafka_bootstrap, clock=SystemClock())

    async def have_waited(longer: timedelta) -> None:
        async with database.transaction() as session:
            await session.execute(update(parked_table).values(parked_at=parked_table.c.parked_at - longer))

    async with running(run):
        with capture_logs() as logs:
            await send(producer, event := activated())
            await until(lambda: event.id in missed)
            await asyncio.sleep(0.2)
            look_now(database)
            await until(lambda: gauge("faregate_parked_records", group) == 1)
            assert gauge("faregate_parked_oldest_seconds", group) < 60
        # One that came before what it names is ordinary; one that stays is told, once, and then it is an alarm.
        assert [line["event"] for line in logs if line["log_level"] in {"warning", "error"}] == []

        with capture_logs() as logs:
            await have_waited(timedelta(minutes=2))
            for _ in range(2):
                look_now(database)
                await until(lambda: gauge("faregate_parked_oldest_seconds", group) > 100)
            await until(lambda: any(line["event"] == "kit.events_stay_parked" for line in logs), 1)
            await asyncio.sleep(0.2)
        assert [line["log_level"] for line in logs if line["event"].startswith("kit.events_")] == ["warning"]

        with capture_logs() as logs:
            await have_waited(timedelta(hours=1))
            look_now(database)
            await until(lambda: gauge("faregate_parked_oldest_seconds", group) > 3600)
            await until(lambda: any(line["event"] == "kit.events_parked_too_long" for line in logs), 1)


async def test_a_parked_event_that_breaks_its_handler_is_set_aside_and_the_others_are_applied(
    shop: Shop,
    database: Database,
    stack: Stack,
    producer: Producer,
    group: str,
    until: Until,
    running: Running,
    activated: MakeEvent,
) -> None:
    bad, good = activated(), activated()
    parked: set[UUID] = set()

    async def miss(_session: AsyncSession, event: AccountActivated) -> None:
        parked.add(event.id)
        raise MissingReferentError("account:unknown")

    async def break_on_bad(session: AsyncSession, event: AccountActivated) -> None:
        if event.id == bad.id:
            raise KeyError("a bug")
        await shop.take(session, event)

    shop.handler = miss
    run = Runner(shop.consumer, database=database, bootstrap=stack.kafka_bootstrap, clock=SystemClock())
    before = aside(group)
    async with running(run):
        for event in (bad, good):
            await send(producer, event)
        await until(lambda: parked == {bad.id, good.id})
        await asyncio.sleep(0.2)
        shop.handler = break_on_bad
        async with database.transaction() as session:
            await parking.release(session, "account:unknown")
        await until(lambda: good.id in shop.applied)
        await until(lambda: aside(group) == before + 1)
        async with asyncio.timeout(10):
            while await waiting(database):  # noqa: ASYNC110  # the rows are another task's
                await asyncio.sleep(0.05)


async def waiting(database: Database) -> int:
    async with database.reading() as session:
        return await session.scalar(select(func.count()).select_from(parked_table))


def aside(group: str) -> float:
    return REGISTRY.get_sample_value("faregate_records_set_aside_total", {"group": group, "topic": TOPIC}) or 0.0

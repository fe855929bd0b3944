"""Webhooks that arrive at the same moment: kept in few transactions, and each of them kept."""

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billing.domain.states import StripeEvent
from billing.entrypoints.intake import Intake
from kit.clock import ManualClock
from kit.database import Database


@pytest.fixture
async def database(migrated_url):
    made = Database(await migrated_url(), source="billing")
    yield made
    await made.close()


def event(event_id: str | None = None) -> StripeEvent:
    return StripeEvent(event_id or f"evt_{uuid4().hex}", "invoice.paid", "in_1", "cus_1", ManualClock().now())


async def stored(database) -> tuple[int, int]:
    """How many events, and in how many transactions."""
    async with database.reading() as session:
        found = await session.execute(text("SELECT count(*), count(DISTINCT xmin::text) FROM webhook_event"))
        events, transactions = found.one()
        return events, transactions


async def test_a_hundred_at_once_are_two_transactions_and_wake_the_worker_twice(database):
    intake, woken = Intake(database, clock=ManualClock()), []
    intake.on_stored.append(lambda: woken.append(True))

    await asyncio.gather(*(intake.store(event()) for _ in range(100)))
    await intake.store(event())

    assert await stored(database) == (101, 2)
    assert len(woken) == 2


async def test_copies_in_one_batch_and_later_are_kept_once(database):
    intake, woken = Intake(database, clock=ManualClock()), []
    intake.on_stored.append(lambda: woken.append(True))

    await asyncio.gather(*(intake.store(event("evt_1")) for _ in range(20)))
    await intake.store(event("evt_1"))

    assert (await stored(database))[0] == 1
    assert len(woken) == 1


async def test_one_that_the_database_refuses_keeps_no_other_out(database):
    intake = Intake(database, clock=ManualClock())
    good = [event() for _ in range(5)]

    answers = await asyncio.gather(*(intake.store(one) for one in [*good, event("evt_\x00")]), return_exceptions=True)

    assert answers[:-1] == [None] * 5
    assert isinstance(answers[-1], DBAPIError)
    assert (await stored(database))[0] == 5


async def test_a_sender_who_leaves_takes_nobody_along(database):
    intake = Intake(database, clock=ManualClock())
    leaving = asyncio.create_task(intake.store(event()))
    staying = asyncio.create_task(intake.store(event()))
    await asyncio.sleep(0)

    leaving.cancel()
    await staying

    assert (await stored(database))[0] == 2


async def test_work_waits_for_what_is_being_stored_and_for_nothing_else(database):
    intake = Intake(database, clock=ManualClock())
    await intake.give_way()
    storing = [asyncio.create_task(intake.store(event())) for _ in range(3)]
    await asyncio.sleep(0)

    await asyncio.gather(*(intake.give_way() for _ in range(3)))

    assert (await stored(database))[0] == 3
    await asyncio.gather(*storing)

"""An end at any point, `kill -9` among them, loses no delivery; what it may do is send one twice, recognisably."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable
from contextlib import AsyncExitStack
from signal import SIGKILL
from uuid import UUID, uuid4

import pytest
from services.notifier.tests import factories
from services.notifier.tests.receiver import receiving
from services.notifier.tests.running import Surroundings, in_process, own_process, until
from services.notifier.tests.stand_in_auth import StandInAuth
from sqlalchemy import text

from kit.clock import SystemClock
from notifier.app import create_endpoints
from notifier.service.endpoints import Wanted
from notifier.settings import NotifierSettings

pytestmark = pytest.mark.long


async def test_a_mail_that_was_handed_over_and_not_settled_comes_again_with_the_same_message_id(
    surround, auth: StandInAuth, address: str
) -> None:
    async with surround() as around, in_process(around, lease_s=4):
        auth.gate.clear()
        await around.deliver(factories.payment_settled(auth.account(address)))
        row = await until(lambda: around.rows("attempts = 1"))
        async with around.database.transaction() as session:
            await lock(session, row[0]["id"])
            auth.gate.set()
            await around.mails(address)
            await until(lambda: cut_off_who_waits(session))
        await all_sent(around, 1)
        mails = await around.mails(address, count=2)

        assert len(mails) == 2
        ids = {(await around.read(mail))["headers"]["Message-ID"] for mail in mails}
        assert len(ids) == 1
        assert str(row[0]["id"]) in ids.pop()


async def test_a_clean_stop_settles_what_is_on_its_way(surround, auth: StandInAuth, address: str) -> None:
    async with surround() as around, AsyncExitStack() as running:
        notifier = await running.enter_async_context(in_process(around))
        auth.gate.clear()
        await around.deliver(factories.payment_settled(auth.account(address)))
        await until(lambda: around.rows("attempts = 1"))
        stopping = asyncio.create_task(running.aclose())

        async def begun() -> bool:
            return notifier.client.is_closed

        await until(begun)
        auth.gate.set()
        await stopping

        assert [row["state"] for row in await around.rows()] == ["sent"]
        assert len(await around.mails(address)) == 1


@pytest.mark.timeout(240)
async def test_kill_9_in_the_middle_of_sending_loses_nothing_and_repeats_only_what_can_be_recognised(
    surround, auth: StandInAuth
) -> None:
    await kill_again_and_again(surround, auth, kills=1, notices=60)


@pytest.mark.proof
@pytest.mark.timeout(600)
async def test_twenty_kills_at_random_points_lose_nothing_and_repeat_only_what_can_be_recognised(
    surround, auth: StandInAuth
) -> None:
    await kill_again_and_again(surround, auth, kills=20, notices=400)


async def kill_again_and_again(surround, auth: StandInAuth, *, kills: int, notices: int) -> None:
    """Each notice is a mail and a request to an endpoint."""
    chance, slots = random.Random(kills), 4
    accounts = {auth.account(one): one for one in (f"kill-{uuid4().hex}@mail.example" for _ in range(notices))}
    async with surround() as around, receiving() as receiver:
        changed = {"lease_s": 6, "delivery_slots": slots, "endpoint_slots": slots, "endpoints_may_be_local": True}
        async with own_process(around, **changed) as process:
            await add_endpoints(around, accounts, receiver.url)
            await around.deliver(*(factories.payment_settled(one) for one in accounts))
            await until(lambda: around.rows("state = 'sent'"))
            await asyncio.sleep(chance.uniform(0, 0.3))
            await process.stop(SIGKILL)
        assert await around.rows("state = 'pending'"), "the process was killed before it was done"
        for _ in range(kills - 1):
            async with own_process(around, **changed) as process:
                await asyncio.sleep(chance.uniform(0, 0.8))
                await process.stop(SIGKILL)
        async with in_process(around, **changed):
            await all_sent(around, 2 * notices)

        repeated = [await recognised(around, address) for address in accounts.values()]
        ids = Counter(got.headers["webhook-id"] for got in receiver.got)
        assert len(ids) == notices
        assert sum(repeated) <= kills * slots
        assert sum(ids.values()) - notices <= kills * slots


async def recognised(around: Surroundings, address: str) -> int:
    """How many copies of the one mail came too many; all of them carry one Message-ID."""
    mails = await around.mails(address)
    read = [await around.read(mail) for mail in mails] if len(mails) > 1 else []
    assert len({mail["headers"]["Message-ID"] for mail in read}) <= 1
    return len(mails) - 1


async def add_endpoints(around: Surroundings, accounts: Iterable[UUID], url: str) -> None:
    settings = NotifierSettings(**around.settings, endpoints_may_be_local=True)
    endpoints = create_endpoints(settings, clock=SystemClock())
    async with around.database.transaction() as session:
        for account_id in accounts:
            await endpoints.make(session, account_id, Wanted(channel="webhook", url=url))


async def lock(session, delivery_id: UUID) -> None:
    await session.execute(text("SELECT 1 FROM delivery WHERE id = :id FOR UPDATE"), {"id": delivery_id})


async def cut_off_who_waits(session) -> bool:
    """PostgreSQL ends the session that wants to settle what this one has locked; False while none does yet."""
    query = (
        "SELECT pg_terminate_backend(pid) FROM pg_locks"
        " WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
    )
    return bool((await session.execute(text(query))).all())


async def all_sent(around: Surroundings, count: int) -> None:
    async def sent() -> bool:
        return len(await around.rows("state = 'sent'")) == count

    await until(sent, timeout_s=90)

"""A customer's own hold: its end was chosen at creation, and no gateway owns it (money.md 14)."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import pytest_asyncio

from contracts.terms import Limits
from gateway.admission import Amounts, RedisConnection, Sweeper


@pytest_asyncio.fixture(loop_scope="session")
async def swept(gateways, ledger):
    """A sweeper, and what it reported."""
    redis = RedisConnection(gateways.url)
    found = []

    async def publish(*report):
        found.append(report)

    sweeper = Sweeper(redis=redis, ledger=ledger, publish=publish, patience_s=900, lease_s=0.1)
    yield sweeper, found
    await redis.stop()


def in_s(seconds):
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def visit_at_once(gateways):
    """Sweepers come by as if the visit were due."""
    for key in await gateways.redis("KEYS", "{sweep:*:due"):
        for account in await gateways.redis("ZRANGE", key.decode(), "0", "-1"):
            await gateways.redis("ZADD", key.decode(), "0", account.decode())


async def test_a_hold_is_found_and_ended_by_another_gateway(gateways, ledger, call):
    first, second = await gateways.make(), await gateways.make()
    books = ledger.open(1000, markup_bps=100)
    expires_at = in_s(60).replace(microsecond=0)
    wish = call(books.account_id, 200, expires_at=expires_at)

    admitted = await first.admit(wish)
    found = await second.find_hold(books.account_id, wish.call_id)

    assert first.open_calls == frozenset()
    assert (found.state, found.expires_at, found.admitted_at) == ("held", expires_at, admitted.admitted_at)
    assert (found.allocation, found.report) == (admitted.allocation, wish.report)
    assert (found.plan_id, found.plan_version, found.markup_bps) == ("trial|50%", 3, 100)
    assert found.amounts.credit_nano == 202
    answer = await second.settle(account_id=books.account_id, call_id=wish.call_id, price_nano=150)
    assert answer == "ok"
    assert (await first.find_hold(books.account_id, wish.call_id)).state == "ended"
    assert await gateways.available(first, books.account_id) == 850


async def test_a_hold_may_be_confirmed_above_what_it_holds_and_released_at_nothing(gateways, ledger, call):
    admission = await gateways.make()
    books = ledger.open(1000)
    dear, free = (call(books.account_id, 100, expires_at=in_s(60)) for _ in range(2))
    await admission.admit(dear)
    await admission.admit(free)

    await admission.settle(account_id=books.account_id, call_id=dear.call_id, price_nano=300)
    await admission.settle(account_id=books.account_id, call_id=free.call_id, amounts=Amounts(requests=0))

    assert await gateways.available(admission, books.account_id) == 700


async def test_a_hold_is_no_running_call(gateways, ledger, call):
    admission = await gateways.make()
    books = ledger.open(1000, limits=Limits(concurrency=1, member_concurrency=1))
    member = UUID(int=7)
    hold, other = (call(books.account_id, 100, expires_at=in_s(60), user_id=member) for _ in range(2))
    running, refused = (call(books.account_id, 100, user_id=member) for _ in range(2))

    held = await admission.admit(hold)
    admitted = await admission.admit(running)
    held_too = await admission.admit(other)
    answer = await admission.admit(refused)

    assert held.limits.concurrency.remaining == 1
    assert admitted.limits.concurrency.remaining == 0
    assert held_too.amounts == held.amounts
    assert answer.reason == "concurrency"
    for wish in (hold, running, other):
        await admission.settle(account_id=books.account_id, call_id=wish.call_id, price_nano=1)
    assert not {name for name in (await gateways.look(books.account_id)).flight if name.startswith("open")}


async def test_a_hold_outlives_its_gateway_and_ends_at_its_own_time(gateways, ledger, call, swept):
    """Its patience is its own; heartbeats and restarts change nothing (money.md 14)."""
    sweeper, found = swept
    dying = await gateways.make(patience_s=0.3)
    books = ledger.open(1000, limits=Limits(concurrency=5))
    wish = call(books.account_id, 100, expires_at=in_s(1.2))
    admitted = await dying.admit(wish)
    await gateways.crash(dying)

    await asyncio.sleep(0.6)
    await visit_at_once(gateways)
    await sweeper.sweep()
    assert not found
    await asyncio.sleep(0.7)
    await visit_at_once(gateways)
    await sweeper.sweep()

    ((account_id, call_id, report, _, admitted_at),) = found
    assert (account_id, call_id, report) == (books.account_id, wish.call_id, wish.report)
    assert admitted_at == admitted.admitted_at
    other = await gateways.make()
    assert (await other.find_hold(books.account_id, wish.call_id)).state == "swept"
    assert await gateways.available(other, books.account_id) == 900  # until the ledger confirms


async def test_a_swept_hold_may_still_be_confirmed_and_is_charged_once(gateways, ledger, call, swept):
    """(money.md 14): the caller sees `swept` by `find_hold`, and decides."""
    sweeper, found = swept
    admission = await gateways.make()
    books = ledger.open(1000)
    wish = call(books.account_id, 100, expires_at=in_s(0.1))
    await admission.admit(wish)
    await asyncio.sleep(0.2)
    await visit_at_once(gateways)
    await sweeper.sweep()
    assert len(found) == 1

    assert await admission.settle(account_id=books.account_id, call_id=wish.call_id, price_nano=70) == "ok"
    assert await gateways.available(admission, books.account_id) == 930


async def test_a_hold_that_nobody_knows_is_not_found(gateways, ledger, call):
    admission = await gateways.make()
    books = ledger.open(1000)
    wish = call(books.account_id, 100, expires_at=in_s(60))
    admitted = await admission.admit(wish)
    await admission.apply_snapshot(books.book(wish.call_id, admitted.allocation, 0))

    assert await admission.find_hold(books.account_id, wish.call_id) is None
    answer = await admission.settle(account_id=books.account_id, call_id=wish.call_id, price_nano=1)
    assert answer == "confirmed"
    with pytest.raises(ValueError, match="needs its account"):
        admission.settle_soon(wish.call_id, Amounts(1))

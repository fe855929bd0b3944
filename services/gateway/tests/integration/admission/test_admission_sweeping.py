"""Every hold ends: swept, reported and asked for (money.md 6, 13, 14); accounts are found by hints (money.md 16)."""

import asyncio

import pytest
import pytest_asyncio

from gateway.admission import AccountTerms, Admission, AdmissionUnavailableError, RedisConnection, Sweeper
from gateway.admission.hints import shard_keys, shard_of
from gateway.admission.hold import booked_allocation
from kit.clock import SystemClock
from kit.producer import ProducerError

pytestmark = pytest.mark.long

PATIENCE_S = 0.4


class Orphans:
    """What sweepers publish; can fail."""

    def __init__(self):
        self.published = []
        self.failures = 0

    async def __call__(self, account_id, call_id, report, allocation, admitted_at):
        if self.failures:
            self.failures -= 1
            raise ProducerError("Kafka did not acknowledge")
        self.published.append((account_id, call_id, report, allocation, admitted_at))

    @property
    def ids(self):
        return [call_id for _, call_id, *_ in self.published]

    async def some(self):
        return bool(self.published)


@pytest_asyncio.fixture(loop_scope="session")
async def orphans():
    return Orphans()


@pytest_asyncio.fixture(loop_scope="session")
async def make_sweeper(gateways, ledger, orphans):
    redis = RedisConnection(gateways.url)

    def make(**values):
        settings = {"patience_s": PATIENCE_S, "lease_s": 0.2, **values}
        return Sweeper(redis=redis, ledger=ledger, publish=orphans, **settings)

    yield make
    await redis.stop()


async def until(condition, *, within_s=15.0):
    deadline = asyncio.get_running_loop().time() + within_s
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, "it did not happen"
        await asyncio.sleep(0.05)


async def hints_of(gateways, account_id):
    due, seen = shard_keys(shard_of(account_id))
    return await gateways.redis("ZSCORE", due, str(account_id)), await gateways.redis("HGET", seen, str(account_id))


async def test_calls_of_a_gateway_that_died_are_reported_once_and_stay_until_confirmed(
    gateways, ledger, call, orphans, make_sweeper
):
    dying = await gateways.make(patience_s=PATIENCE_S)
    books = ledger.open(100)
    request = call(books.account_id, 30)
    admitted = await dying.admit(request)
    await gateways.crash(dying)
    sweepers = [make_sweeper(lease_s=60) for _ in range(3)]

    await sweepers[0].sweep()
    assert not orphans.published  # not before its patience is over
    await asyncio.sleep(PATIENCE_S + 0.1)
    for _ in range(2):
        await asyncio.gather(*(sweeper.sweep() for sweeper in sweepers))

    allocation = booked_allocation(admitted.allocation)
    assert orphans.published == [(books.account_id, request.call_id, request.report, allocation, admitted.admitted_at)]
    survivor = await gateways.make()
    assert (await gateways.look(books.account_id)).entries[request.call_id][0] == "swept"
    assert await gateways.available(survivor, books.account_id) == 70

    await survivor.apply_snapshot(books.book(request.call_id, admitted.allocation, 0))
    assert await gateways.available(survivor, books.account_id) == 100
    assert not (await gateways.look(books.account_id)).entries


async def test_calls_that_are_kept_alive_are_not_swept(gateways, ledger, call, orphans, make_sweeper):
    admission = await gateways.make(patience_s=2.0)
    books = ledger.open(100)
    request = call(books.account_id, 30)
    await admission.admit(request)
    sweeper = make_sweeper(patience_s=2.0)

    for _ in range(15):
        await asyncio.sleep(0.2)
        await sweeper.sweep()

    assert not orphans.published
    assert (await gateways.look(books.account_id)).entries[request.call_id][0] == "held"


async def test_a_gateway_whose_call_was_swept_is_told_once_and_its_end_still_counts(
    gateways, ledger, call, orphans, make_sweeper
):
    slow = await gateways.make(patience_s=PATIENCE_S)
    told = []
    slow.on_swept = told.append
    books = ledger.open(100)
    request = call(books.account_id, 30)
    await slow.admit(request)
    await slow._tasks.stop()
    await asyncio.sleep(PATIENCE_S + 0.1)
    await make_sweeper(lease_s=60).sweep()
    assert orphans.ids == [request.call_id]

    await slow.start()
    await asyncio.sleep(PATIENCE_S * 1.5)

    assert told == [request.call_id]
    await slow.settle(account_id=books.account_id, call_id=request.call_id, price_nano=12)
    assert (await gateways.look(books.account_id)).entries[request.call_id][0] == "ended"
    assert await gateways.available(slow, books.account_id) == 88


async def test_a_gateway_learns_from_the_ledger_too_that_its_open_call_was_booked(gateways, ledger, call):
    admission = await gateways.make()
    told = []
    admission.on_swept = told.append
    books = ledger.open(100)
    request = call(books.account_id, 30)
    admitted = await admission.admit(request)
    snapshot = books.book(request.call_id, admitted.allocation, 0)

    await admission.apply_snapshot(snapshot)
    await admission.apply_snapshot(snapshot)

    assert told == [request.call_id]
    assert await admission.settle(account_id=books.account_id, call_id=request.call_id, price_nano=5) == "confirmed"


async def test_a_call_that_is_abandoned_is_left_to_the_sweeper(gateways, ledger, call, orphans, make_sweeper):
    admission = await gateways.make(patience_s=PATIENCE_S)
    books = ledger.open(100)
    request = call(books.account_id, 30)
    await admission.admit(request)

    admission.abandon(request.call_id)
    await asyncio.sleep(PATIENCE_S + 0.2)
    await make_sweeper().sweep()

    assert orphans.ids == [request.call_id]
    assert admission.open_calls == frozenset()


async def test_an_orphan_that_could_not_be_published_is_published_later(gateways, ledger, call, orphans, make_sweeper):
    dying = await gateways.make(patience_s=PATIENCE_S)
    books = ledger.open(100)
    requests = [call(books.account_id, 10) for _ in range(3)]
    for request in requests:
        await dying.admit(request)
    await gateways.crash(dying)
    await asyncio.sleep(PATIENCE_S + 0.1)
    sweeper = make_sweeper()
    orphans.failures = 1

    await sweeper.sweep()
    assert not orphans.published
    await asyncio.sleep(0.3)
    await sweeper.sweep()

    assert set(orphans.ids) == {request.call_id for request in requests}


async def test_a_swept_call_is_published_again_only_while_the_ledger_has_not_booked_it(
    gateways, ledger, call, orphans, make_sweeper
):
    dying = await gateways.make(patience_s=PATIENCE_S)
    books = ledger.open(100)
    request = call(books.account_id, 30)
    admitted = await dying.admit(request)
    await gateways.crash(dying)
    await asyncio.sleep(PATIENCE_S + 0.1)
    sweeper = make_sweeper()
    await sweeper.sweep()
    await asyncio.sleep(PATIENCE_S)
    await sweeper.sweep()
    assert orphans.ids == [request.call_id] * 2

    books.book(request.call_id, admitted.allocation, 0)  # and its snapshot is lost
    await asyncio.sleep(PATIENCE_S + 0.1)
    await sweeper.sweep()

    assert orphans.ids == [request.call_id] * 2
    assert not (await gateways.look(books.account_id)).entries


async def test_ended_calls_that_stay_unconfirmed_are_asked_of_the_ledger(gateways, ledger, call, orphans, make_sweeper):
    admission = await gateways.make(patience_s=PATIENCE_S)
    admission._calls.ended.ask_after_ms = 200
    books = ledger.open(100)
    booked, waiting = call(books.account_id, 30), call(books.account_id, 20)
    admitted = await admission.admit(booked)
    await admission.admit(waiting)
    for request in (booked, waiting):
        await admission.settle(account_id=books.account_id, call_id=request.call_id, price_nano=10)
    books.book(booked.call_id, admitted.allocation, 10)  # and its snapshot is lost
    assert await gateways.available(admission, books.account_id) == 80
    asked = len(ledger.asked)

    await asyncio.sleep(PATIENCE_S + 0.1)
    await make_sweeper().sweep()

    assert set(ledger.asked[asked][1]) == {booked.call_id, waiting.call_id}
    sight = await gateways.look(books.account_id)
    assert set(sight.entries) == {waiting.call_id}
    assert sight.confirmed == {booked.call_id}
    assert await gateways.available(admission, books.account_id) == 80
    assert not orphans.published


async def test_while_the_ledger_is_away_entries_wait(gateways, ledger, call, orphans, make_sweeper):
    admission = await gateways.make(patience_s=PATIENCE_S)
    admission._calls.ended.ask_after_ms = 100
    books = ledger.open(100)
    request = call(books.account_id, 30)
    admitted = await admission.admit(request)
    await admission.settle(account_id=books.account_id, call_id=request.call_id, price_nano=10)
    books.book(request.call_id, admitted.allocation, 10)
    ledger.away = True
    sweeper = make_sweeper()

    await asyncio.sleep(PATIENCE_S + 0.1)
    await sweeper.sweep()
    assert set((await gateways.look(books.account_id)).entries) == {request.call_id}

    ledger.away = False
    await asyncio.sleep(PATIENCE_S)
    await sweeper.sweep()
    assert not (await gateways.look(books.account_id)).entries


async def test_hints_go_when_an_account_has_been_quiet_and_not_before(gateways, ledger, call, make_sweeper):
    admission = await gateways.make(patience_s=PATIENCE_S)
    books = ledger.open(100)
    request = call(books.account_id, 30)
    admitted = await admission.admit(request)
    assert all(await hints_of(gateways, books.account_id))
    await admission.settle(account_id=books.account_id, call_id=request.call_id, price_nano=10)
    await admission.apply_snapshot(books.book(request.call_id, admitted.allocation, 10))

    await asyncio.sleep(PATIENCE_S + 0.1)
    await make_sweeper().sweep()
    assert all(await hints_of(gateways, books.account_id))  # something may be on its way behind a fresh hint

    await make_sweeper(clock=SystemClock(120)).sweep()
    assert await hints_of(gateways, books.account_id) == (None, None)


async def test_an_account_without_a_hint_is_found_by_the_slow_scan(gateways, ledger, call, orphans, make_sweeper):
    dying = await gateways.make(patience_s=PATIENCE_S)
    accounts = [ledger.open(100) for _ in range(30)]
    requests = [call(books.account_id, 30) for books in accounts]
    for request in requests:
        await dying.admit(request)
    await gateways.crash(dying)
    for books in accounts:
        await gateways.redis("DEL", *shard_keys(shard_of(books.account_id)))
    await asyncio.sleep(PATIENCE_S + 0.1)
    sweeper = make_sweeper()
    await sweeper.sweep()
    assert not orphans.published

    await sweeper.scan_for_strays()
    await asyncio.sleep(PATIENCE_S + 0.1)
    await sweeper.sweep()

    assert set(orphans.ids) == {request.call_id for request in requests}


async def test_after_a_restart_of_redis_sweepers_wait_for_the_gateways(own_redis, own_gateways, ledger, call, orphans):
    patience_s = 8.0
    admission = await own_gateways.make(patience_s=patience_s)
    books = ledger.open(100)
    await admission.admit(call(books.account_id, 30))
    await own_gateways.crash(admission)
    redis = RedisConnection(own_redis.url)
    # An hour later by the clock, but this run of Redis is young.
    sweeper = Sweeper(redis=redis, ledger=ledger, publish=orphans, patience_s=patience_s, clock=SystemClock(3600))

    await sweeper.sweep()
    assert not orphans.published

    await asyncio.sleep(patience_s / 2)
    later = Sweeper(redis=redis, ledger=ledger, publish=orphans, patience_s=patience_s, clock=SystemClock(7200))
    await later.sweep()
    assert len(orphans.published) == 1
    await redis.stop()


async def test_the_sweeper_goes_on_after_redis_was_away(own_redis, own_gateways, ledger, call, orphans):
    dying = await own_gateways.make(patience_s=PATIENCE_S)
    books = ledger.open(100)
    redis = RedisConnection(own_redis.url)
    sweeper = Sweeper(redis=redis, ledger=ledger, publish=orphans, patience_s=PATIENCE_S, interval_s=0.1)
    task = asyncio.create_task(sweeper.run())
    await own_redis.kill()
    await asyncio.sleep(0.3)
    await own_redis.start()
    try:
        request = call(books.account_id, 1)
        await dying.admit(request)
        await own_gateways.crash(dying)
        await until(orphans.some)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await redis.stop()
    assert set(orphans.ids) == {request.call_id}


async def test_a_hint_is_written_before_the_entry_it_announces(own_gateways, ledger, call, plan):
    admission = await own_gateways.make()
    books = ledger.open(100)
    ledger.away = True

    with pytest.raises(AdmissionUnavailableError):
        await Admission.admit(admission, plan(call(books.account_id, 1), AccountTerms.of(books.event())))

    assert all(await hints_of(own_gateways, books.account_id))


async def test_a_report_that_cannot_be_read_does_not_stop_the_sweeping(gateways, ledger, call, make_sweeper, orphans):
    dying = await gateways.make(patience_s=PATIENCE_S)
    books = ledger.open(100)
    broken, fine = call(books.account_id, 10), call(books.account_id, 10)
    for request in (broken, fine):
        await dying.admit(request)
    await gateways.crash(dying)
    await asyncio.sleep(PATIENCE_S + 0.1)
    publish = type(orphans).__call__

    class Picky(Orphans):
        async def __call__(self, account_id, call_id, *rest):
            if call_id == broken.call_id:
                raise ValueError("not a report")
            await publish(orphans, account_id, call_id, *rest)

    sweeper = make_sweeper()
    sweeper._publish = Picky()
    await sweeper.sweep()

    assert orphans.ids == [fine.call_id]


async def test_a_caller_that_gave_up_keeps_nothing_alive(gateways, ledger, call, make_sweeper, orphans):
    admission = await gateways.make(patience_s=PATIENCE_S)
    books = ledger.open(100)
    requests = [call(books.account_id, 1) for _ in range(40)]

    for number, request in enumerate(requests):
        task = asyncio.create_task(admission.admit(request))
        await asyncio.sleep(number / 20_000)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            admission.abandon(request.call_id)
    assert admission.open_calls == frozenset()

    await asyncio.sleep(PATIENCE_S + 0.1)
    held = (await gateways.look(books.account_id)).entries
    assert held
    await make_sweeper().sweep()
    assert set(orphans.ids) == set(held)


async def test_a_call_that_was_confirmed_while_its_gateway_slept_is_not_entered_again(gateways, ledger, call):
    slow, other = await gateways.make(patience_s=PATIENCE_S), await gateways.make()
    told = []
    slow.on_swept = told.append
    books = ledger.open(100)
    request = call(books.account_id, 30)
    admitted = await slow.admit(request)
    await slow._tasks.stop()
    await other.apply_snapshot(books.book(request.call_id, admitted.allocation, 0))

    await slow.start()
    await asyncio.sleep(PATIENCE_S * 1.5)

    assert told == [request.call_id]
    assert not (await gateways.look(books.account_id)).entries
    assert await gateways.available(other, books.account_id) == 100

import asyncio

import pytest

from gateway.admission import AdmissionUnavailableError, RedisConnection, RedisMisconfiguredError
from gateway.admission.scripts import account_keys


async def until(condition, *, within_s=10.0):
    deadline = asyncio.get_running_loop().time() + within_s
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, "it did not happen"
        await asyncio.sleep(0.02)


async def restart(server, *, empty):
    await server.kill()
    if empty:
        for file in server._folder.rglob("*"):
            if file.is_file():
                file.unlink()
    await server.start()


async def test_an_empty_redis_is_rebuilt_from_the_ledger_and_the_open_calls(own_redis, own_gateways, ledger, call):
    """(money.md 29)."""
    first, second = await own_gateways.make(), await own_gateways.make()
    books = ledger.open(100)
    held, booked, other = call(books.account_id, 30), call(books.account_id, 20), call(books.account_id, 10)
    await first.admit(held)
    admitted = await first.admit(booked)
    await second.admit(other)
    await first.settle(account_id=books.account_id, call_id=booked.call_id, price_nano=15)
    books.book(booked.call_id, admitted.allocation, 15)

    await restart(own_redis, empty=True)
    answer = await second.admit(call(books.account_id, 1))
    assert answer.available_nano <= 85 - 10 - 1

    async def both_entered():
        return set((await own_gateways.look(books.account_id)).entries) >= {held.call_id, other.call_id}

    await until(both_entered)
    assert await own_gateways.available(first, books.account_id) == 85 - 30 - 10 - 1
    assert (await first.admit(held)).reserved_nano == 30  # the hold as it was


async def test_after_a_restart_with_its_file_state_is_reloaded_and_entries_stay(own_redis, own_gateways, ledger, call):
    """(money.md 29)."""
    admission = await own_gateways.make()
    books = ledger.open(100)
    held, booked = call(books.account_id, 30), call(books.account_id, 20)
    await admission.admit(held)
    admitted = await admission.admit(booked)
    await admission.settle(account_id=books.account_id, call_id=booked.call_id, price_nano=15)
    books.book(booked.call_id, admitted.allocation, 15)  # and its snapshot is lost
    assert len(ledger.asked) == 1
    await asyncio.sleep(1.2)  # Redis writes its file every second

    await restart(own_redis, empty=False)
    sight = await own_gateways.look(books.account_id)
    assert set(sight.entries) == {held.call_id, booked.call_id}

    assert (await admission.admit(call(books.account_id, 1))).available_nano == 85 - 30 - 1
    assert set(ledger.asked[1][1]) == {held.call_id, booked.call_id}
    assert (await own_gateways.look(books.account_id)).confirmed == {booked.call_id}


async def test_while_redis_or_the_ledger_is_away_nothing_is_admitted_and_nothing_raises_at_the_end(
    own_redis, own_gateways, ledger, call
):
    """(money.md 29)."""
    admission = await own_gateways.make()
    books = ledger.open(100)
    request = call(books.account_id, 30)
    await admission.admit(request)
    await own_redis.kill()

    with pytest.raises(AdmissionUnavailableError) as raised:
        await admission.admit(call(books.account_id, 1))
    assert raised.value.retry_after_s == 1
    with pytest.raises(RuntimeError, match="Redis"):
        await admission.ready()
    answer = await admission.settle(account_id=books.account_id, call_id=request.call_id, price_nano=12)
    assert answer == "pending"

    ledger.away = True
    await restart(own_redis, empty=True)
    with pytest.raises(AdmissionUnavailableError):
        await admission.admit(call(books.account_id, 1))
    ledger.away = False

    async def settled():
        return (await own_gateways.look(books.account_id)).entries.get(request.call_id, ("",))[0] == "ended"

    await until(settled)
    assert await own_gateways.available(admission, books.account_id) == 88


async def test_a_settlement_that_redis_missed_is_forgotten_when_the_ledger_confirms(
    own_redis, own_gateways, ledger, call
):
    """(money.md 6)."""
    admission = await own_gateways.make(patience_s=10_000)
    books = ledger.open(100)
    request = call(books.account_id, 30)
    admitted = await admission.admit(request)
    await own_redis.kill()
    assert await admission.settle(account_id=books.account_id, call_id=request.call_id, price_nano=12) == "pending"

    await restart(own_redis, empty=True)
    await admission.apply_snapshot(books.book(request.call_id, admitted.allocation, 12))

    assert await own_gateways.available(admission, books.account_id) == 88
    assert admission._calls.ended.unsettled == 0


async def test_many_calls_wait_for_one_reload(own_redis, own_gateways, ledger, call):
    """(money.md 29)."""
    admission = await own_gateways.make()
    books = ledger.open(100)

    async def slowly():
        await asyncio.sleep(0.2)

    ledger.before_answer = slowly
    answers = await asyncio.gather(*(admission.admit(call(books.account_id, 1)) for _ in range(200)))

    assert len(ledger.asked) == 1
    assert sum(hasattr(answer, "allocation") for answer in answers) == 100


async def test_redis_lost_again_during_a_reload_is_not_taken_for_rebuilt(own_redis, own_gateways, ledger, call):
    """(money.md 29)."""
    admission = await own_gateways.make()
    books = ledger.open(100)
    lost_once = []

    async def lose():
        if not lost_once:
            lost_once.append(True)
            await restart(own_redis, empty=True)

    ledger.before_answer = lose
    assert (await admission.admit(call(books.account_id, 1))).available_nano == 99

    assert len(ledger.asked) == 2


async def test_a_newer_snapshot_survives_a_reload_that_was_answered_before_it(own_redis, own_gateways, ledger, call):
    """(money.md 6, 29)."""
    admission = await own_gateways.make()
    books = ledger.open(100)
    request = call(books.account_id, 30)
    admitted = await admission.admit(request)
    await asyncio.sleep(1.2)  # Redis writes its file every second
    await restart(own_redis, empty=False)
    stale = books.event()

    async def overtaken(_account_id, _calls):
        await admission.apply_snapshot(books.book(request.call_id, admitted.allocation, 30))
        return stale

    ledger.snapshot = overtaken
    assert await own_gateways.available(admission, books.account_id) == 70


async def test_holds_are_reentered_before_the_first_admission_under_a_new_run(own_redis, own_gateways, ledger, call):
    """(money.md 6, 29)."""
    admission = await own_gateways.make(patience_s=10_000)
    accounts = [ledger.open(10) for _ in range(5)]
    for books in accounts:
        await admission.admit(call(books.account_id, 10))

    await restart(own_redis, empty=True)

    answers = [await admission.admit(call(books.account_id, 1)) for books in accounts]
    assert [answer.reason for answer in answers] == ["credit"] * 5


async def test_every_connection_knows_the_run_it_belongs_to(own_redis):
    """(money.md 29)."""
    redis = RedisConnection(own_redis.url)

    async def run(session):
        return session.run_id

    before = set(await asyncio.gather(*(redis.attempt(run) for _ in range(20))))
    await restart(own_redis, empty=False)
    after = set(await asyncio.gather(*(redis.attempt(run) for _ in range(20))))

    assert len(before) == len(after) == 1
    assert before != after
    await redis.stop()


async def test_a_redis_that_may_evict_is_refused_by_name(own_redis, own_gateways):
    await own_gateways.redis("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")

    with pytest.raises(RedisMisconfiguredError, match="maxmemory-policy to noeviction"):
        await own_gateways.make()


async def test_scripts_that_redis_forgot_are_sent_again(own_gateways, ledger, call):
    admission = await own_gateways.make()
    books = ledger.open(100)
    await admission.admit(call(books.account_id, 1))

    await own_gateways.redis("SCRIPT", "FLUSH")

    assert (await admission.admit(call(books.account_id, 1))).available_nano == 98


async def test_a_redis_without_memory_denies_and_changes_nothing(own_gateways, ledger, call):
    admission = await own_gateways.make()
    books = ledger.open(100)
    request = call(books.account_id, 30)
    admitted = await admission.admit(request)
    before = await own_gateways.look(books.account_id)
    await own_gateways.redis("CONFIG", "SET", "maxmemory", "1mb")
    await own_gateways.redis("CONFIG", "SET", "maxmemory", "1")

    with pytest.raises(AdmissionUnavailableError):
        await admission.admit(call(books.account_id, 1))
    with pytest.raises(AdmissionUnavailableError):
        await admission.apply_snapshot(books.book(request.call_id, admitted.allocation, 30))
    assert await own_gateways.look(books.account_id) == before

    await own_gateways.redis("CONFIG", "SET", "maxmemory", "256mb")
    await admission.apply_snapshot(books.event([request.call_id]))
    assert await own_gateways.available(admission, books.account_id) == 70


async def test_a_connection_that_a_cancelled_call_left_is_not_used_again(own_gateways, ledger, call):
    admission = await own_gateways.make()
    books = ledger.open(10_000)
    await own_gateways.available(admission, books.account_id)

    for delay in range(40):
        task = asyncio.create_task(admission.admit(call(books.account_id, 1)))
        await asyncio.sleep(delay / 20_000)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    requests = [call(books.account_id, n) for n in range(1, 30)]
    answers = await asyncio.gather(*(admission.admit(request) for request in requests))
    assert [answer.reserved_nano for answer in answers] == list(range(1, 30))
    assert [answer.call_id for answer in answers] == [request.call_id for request in requests]


async def test_all_keys_of_an_account_share_one_slot(own_gateways, ledger, call):
    admission = await own_gateways.make()
    books = ledger.open(100)
    await admission.admit(call(books.account_id, 1))

    keys = [key.decode() for key in await own_gateways.redis("KEYS", "*")]

    assert {key for key in keys if not key.startswith("{sweep:")} <= set(account_keys(books.account_id))
    assert all(key.startswith(f"{{{books.account_id.hex}}}:") for key in account_keys(books.account_id))


async def test_a_password_and_another_database_are_used_from_the_address(own_redis, own_gateways, ledger, call):
    await own_gateways.redis("CONFIG", "SET", "requirepass", "p/w")
    inside = RedisConnection(own_redis.url.replace("redis://", "redis://:p%2Fw@").replace("/0", "/3"))
    outside = RedisConnection(own_redis.url)

    assert await inside.attempt(lambda session: session.command("SET", "key", "3")) == b"OK"
    with pytest.raises(AdmissionUnavailableError):
        await outside.ping()

    assert await inside.attempt(lambda session: session.command("SELECT", "0")) == b"OK"
    assert await inside.attempt(lambda session: session.command("GET", "key")) is None
    await inside.stop()
    await outside.stop()

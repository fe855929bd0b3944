import asyncio

import orjson
import pytest_asyncio

from contracts.ledger import BalanceChanged
from gateway.admission import BalanceReader
from kit.clock import SystemClock
from kit.ids import uuid7
from kit.producer import Producer

TOPIC = BalanceChanged.type


@pytest_asyncio.fixture(loop_scope="session")
async def producer(stack, topics):
    made = Producer(stack.kafka_bootstrap, client_id="test")
    yield made
    await made.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def reading(stack, skip_to_end, producer):
    """Starts readers of a group of their own, behind everything written so far."""
    tasks = []

    async def start(admission, group):
        if not any(task.get_name() == group for task in tasks):
            await skip_to_end(group)
        reader = BalanceReader(
            bootstrap=stack.kafka_bootstrap, admission=admission, producer=producer, clock=SystemClock(), group=group
        )
        tasks.append(asyncio.create_task(reader.run(), name=group))
        return reader

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition, *, within_s=20.0):
    deadline = asyncio.get_running_loop().time() + within_s
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, "it did not happen"
        await asyncio.sleep(0.05)


async def publish(producer, event):
    await producer.send(TOPIC, event.key.encode(), event.encode("ledger"))


def group():
    return f"balances-{uuid7(SystemClock())}"


async def test_published_balances_reach_redis(gateways, ledger, call, producer, reading):
    """(money.md 4, 6)."""
    admission = await gateways.make()
    books = ledger.open(100)
    request = call(books.account_id, 40)
    admitted = await admission.admit(request)
    await admission.settle(account_id=books.account_id, call_id=request.call_id, price_nano=25)
    await reading(admission, group())

    await publish(producer, books.book(request.call_id, admitted.allocation, 25))

    async def applied():
        return (await gateways.look(books.account_id)).version == books.version

    await until(applied)
    sight = await gateways.look(books.account_id)
    assert not sight.entries
    assert sight.confirmed == {request.call_id}
    assert await gateways.available(admission, books.account_id) == 75


async def test_a_malformed_record_goes_to_the_dlq_and_the_ones_round_it_are_applied(
    gateways, ledger, producer, reading, kafka_records, slices
):
    admission = await gateways.make()
    first, second = ledger.open(10), ledger.open(20)
    for books in (first, second):
        await gateways.available(admission, books.account_id)
    reader = await reading(admission, group())
    too_large = ledger.open().event().model_copy(update={"slices": (slices(2**60),)})

    await producer.send_all(
        [
            (TOPIC, first.event().key.encode(), first.changed(slices=[slices(11)]).encode("ledger")),
            (TOPIC, first.event().key.encode(), b'{"specversion": "1.0", "broken'),
            (TOPIC, first.event().key.encode(), None),
            (TOPIC, first.event().key.encode(), too_large.encode("ledger")),
            (TOPIC, first.event().key.encode(), second.changed(slices=[slices(21)]).encode("ledger")),
        ]
    )

    async def applied():
        return (await gateways.look(second.account_id)).version == 2

    await until(applied)
    assert await gateways.available(admission, first.account_id) == 11
    assert await gateways.available(admission, second.account_id) == 21

    async def aside():
        mine = [orjson.loads(value) for _, value in await kafka_records(f"{TOPIC}.dlq")]
        reasons = [one["reason"] for one in mine if one["group"] == reader._group]
        return len(reasons) == 2 and "not JSON" in reasons[0] + reasons[1] and "amount" in reasons[0] + reasons[1]

    await until(aside)
    grew = [orjson.loads(value)["data"] for _, value in await kafka_records("gateway.dlq-grew.v1")]
    assert sum(one["topic"] == TOPIC for one in grew) >= 2


async def test_balances_wait_for_redis_and_none_is_lost(own_redis, own_gateways, ledger, producer, reading, slices):
    """(money.md 6)."""
    admission = await own_gateways.make()
    books = ledger.open(10)
    await own_gateways.available(admission, books.account_id)
    reader = await reading(admission, group())
    await asyncio.sleep(1.2)  # Redis writes its file every second
    await own_redis.kill()

    await publish(producer, books.changed(slices=[slices(11)]))
    await asyncio.sleep(1.5)
    await reader.live()
    await own_redis.start()

    async def applied():
        return (await own_gateways.look(books.account_id)).version == 2

    await until(applied)


async def test_a_reader_that_dies_before_its_commit_leaves_the_batch_to_the_next(
    gateways, ledger, producer, reading, slices
):
    admission = await gateways.make()
    books = ledger.open(10)
    await gateways.available(admission, books.account_id)
    name = group()
    reader = await reading(admission, name)
    await until(lambda: _is_ready(reader))
    task = next(task for task in asyncio.all_tasks() if task.get_name() == name)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    await publish(producer, books.changed(slices=[slices(12)]))
    await reading(admission, name)

    async def applied():
        return (await gateways.look(books.account_id)).version == 2

    await until(applied)
    assert await gateways.available(admission, books.account_id) == 12


async def _is_ready(reader):
    try:
        await reader.ready()
    except RuntimeError:
        return False
    return True

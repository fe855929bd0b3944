"""Redis and Kafka go away under load and come back, with the whole product around them."""

import asyncio
import json
import shutil
import sys
from collections.abc import Callable
from decimal import Decimal

import pytest
from tests.e2e.fleet import Fleet, Payer
from tests.e2e.load import Load, load

from sandbox.demo.customer import until

pytestmark = [pytest.mark.proof, pytest.mark.timeout(180)]

Tell = Callable[[str, object], None]
CALL = {"max_tokens": 100, "scenario": "text;output_tokens=100;first_byte_ms=250;delay_ms=0"}


@pytest.fixture
def calls() -> int:
    """How many each stage waits for."""
    return 30


@pytest.fixture
def seconds() -> int:
    """How long each call takes."""
    return 4


async def spooled(fleet: Fleet) -> int:
    """As an operator asks for it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "spool", "status", "--json", "--state", str(fleet.folder / "gateway")),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return sum(one["events"] for one in json.loads(output))


def check_refusals(running: Load) -> None:
    assert running.broken == []
    refused = [answer for answer in running.answers if answer.status != 200]
    assert {answer.status for answer in refused} <= {503}
    assert all("retry-after" in answer.headers for answer in refused)


async def test_a_redis_that_comes_back_empty_costs_no_call_and_no_credit(fleet: Fleet, calls: int) -> None:
    payer, caller, balance = await fleet.payer()
    redis = fleet.stack.redis
    async with load(caller, callers=10, **CALL) as running:
        await running.until_more_are_served(calls)
        await redis.kill()
        await asyncio.sleep(0.5)
        shutil.rmtree(fleet.folder / "redis")
        await redis.start()
        await running.until_more_are_served(calls)

    left = await payer.settled()
    check_refusals(running)
    await fleet.until_booked()
    charges = await fleet.books.charges(payer.account_id)
    assert {one.id for one in charges if one.price_nano} == {answer.call_id for answer in running.served}
    assert left.balance == balance - sum((one.credits for one in charges), Decimal(0))


async def test_an_empty_redis_in_the_middle_of_many_calls_lets_nobody_spend_twice(
    fleet: Fleet, record_property: Tell, seconds: int
) -> None:
    payer, caller, balance = await fleet.payer()
    # Fifty would take all there is, for so long.
    scenario = f"text;output_tokens=2000;first_byte_ms={seconds * 1000};delay_ms=0"
    call = {"max_tokens": 2_000, "scenario": scenario}
    first = asyncio.create_task(caller.many(60, **call))
    await until("fifty open calls", lambda: _are_open(payer, 50))
    await fleet.stack.redis.kill()
    shutil.rmtree(fleet.folder / "redis")
    await fleet.stack.redis.start()
    second = await caller.many(60, **call)
    answers = [*await first, *second]

    left = await payer.settled()
    charges = await fleet.books.charges(payer.account_id)
    spent = sum((one.credits for one in charges), Decimal(0))
    record_property("spent", f"{spent} of {balance}: beyond by {max(Decimal(0), spent - balance)}")
    # Every gateway lived on and knew its open calls; one that was late to enter them again is the bound (money.md 30).
    assert left.balance - left.debt == balance - spent
    assert left.debt <= balance
    assert {answer.status for answer in answers} <= {200, 402, 503}
    await fleet.until_booked()


async def _are_open(payer: Payer, count: int) -> bool:
    limits = await payer.get("/v1/limits")
    return bool(limits["open_calls"] >= count)


async def test_while_kafka_is_away_usage_waits_in_the_spool_and_is_charged_once_when_it_is_back(
    fleet: Fleet, calls: int
) -> None:
    payer, caller, balance = await fleet.payer()
    kafka = fleet.stack.kafka
    async with load(caller, callers=6, **CALL) as running:
        await running.until_more_are_served(calls)
        await kafka.stop()
        try:
            await running.until_more_are_served(calls)
            waiting = await spooled(fleet)
        finally:
            await kafka.start()
        await running.until_more_are_served(calls)

    assert waiting >= calls / 2
    check_refusals(running)

    async def replayed() -> bool:
        return await spooled(fleet) == 0

    await until("an empty spool", replayed, timeout_s=40)
    await fleet.until_booked(timeout_s=60)
    charges = await fleet.books.charges(payer.account_id)
    assert sorted(one.id for one in charges) == sorted(answer.call_id for answer in running.served)
    left = await payer.settled()
    assert left.balance == balance - sum((one.credits for one in charges), Decimal(0))

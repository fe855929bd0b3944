"""Gateways are replaced under load: every call is answered or refused before it began, and each is charged once."""

import asyncio
import contextlib
import signal

import psutil
import pytest
from tests.e2e.fleet import GRACE_S, WORKERS, Fleet
from tests.e2e.load import Load, load
from tests.e2e.raw_calls import Answer

from sandbox.demo.customer import until

pytestmark = [pytest.mark.proof, pytest.mark.timeout(300)]

QUICK = {"max_tokens": 20, "scenario": "text;output_tokens=20;first_byte_ms=150;delay_ms=0"}
# Of 10 s: it outlasts the grace of the worker that it is at.
LONG = {"max_tokens": 400, "scenario": "text;output_tokens=400;tokens_per_delta=4;delay_ms=100", "stream": True}
STREAMS = 12


@pytest.fixture
def stopped() -> int:
    return WORKERS


@pytest.fixture
def workers() -> int:
    return WORKERS


def check(running: Load) -> None:
    """Nothing broken; who was not served was told to come again, or found nobody listening."""
    assert running.broken == []
    others = [answer for answer in running.answers if not answer.is_served]
    assert {answer.status for answer in others} <= {503, None}
    assert all("retry-after" in answer.headers for answer in others if answer.status == 503)


async def check_books(fleet: Fleet, account_id: str, answers: list[Answer]) -> None:
    """Exactly the calls that were begun are charged, each one once."""
    await fleet.until_booked()
    charges = await fleet.books.charges(account_id)
    begun = [answer.call_id for answer in answers if answer.status == 200]
    assert sorted(charge.id for charge in charges) == sorted(begun)
    assert all(charge.price_nano > 0 for charge in charges)


async def test_workers_told_to_stop_one_by_one_lose_nothing(fleet: Fleet, stopped: int) -> None:
    payer, caller, _ = await fleet.payer()
    await fleet.until_all_serve()
    long = [asyncio.create_task(caller.ask(**LONG)) for _ in range(STREAMS)]
    async with load(caller, callers=6, **QUICK) as running:
        await running.until_more_are_served(10)
        # Those first that serve most: their streams outlast their grace.
        for pid, _ in fleet.streams().most_common(stopped):
            worker = psutil.Process(pid)
            worker.send_signal(signal.SIGTERM)
            await until("the worker's end", lambda worker=worker: _has_ended(worker), timeout_s=GRACE_S + 15)
            await running.until_more_are_served(5)
        await fleet.until_all_serve()
        await running.until_more_are_served(5)
    streams = await asyncio.gather(*long)

    check(running)
    # Where the grace ends before the answer, the stream says so, and its framing is whole; none is merely cut.
    assert all(stream.whole for stream in streams if stream.status == 200)
    assert any(stream.has_error_event for stream in streams)
    await check_books(fleet, payer.account_id, [*running.answers, *streams])
    assert (await payer.settled()).open_calls == 0


async def test_a_second_gateway_behind_the_same_port_takes_over(fleet: Fleet, workers: int) -> None:
    payer, caller, _ = await fleet.payer()
    await fleet.until_all_serve()
    old = {worker.pid for worker in fleet.workers()}
    second = fleet.second_gateway(workers=workers)
    async with load(caller, callers=6, **QUICK) as running:
        second.start()
        try:
            await until("both gateways", lambda: _take(fleet, WORKERS + workers), timeout_s=90)
            await fleet.stop("gateway")
            assert not old & fleet.listeners()
            await running.until_more_are_served(20)
            await fleet.start("gateway")
            await until("both gateways again", lambda: _take(fleet, WORKERS + workers), timeout_s=90)
        finally:
            await second.stop()
        await running.until_more_are_served(20)

    check(running)
    await check_books(fleet, payer.account_id, running.answers)
    await payer.settled()


async def _take(fleet: Fleet, count: int) -> bool:
    return len(fleet.listeners()) >= count


async def _has_ended(worker: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(worker.status() == psutil.STATUS_ZOMBIE)
    return True

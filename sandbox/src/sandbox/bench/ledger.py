"""Events per second from Kafka to committed rows by one ledger, beside the bare SQL on the same PostgreSQL."""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import asyncpg
import orjson
import psutil
from aiokafka import AIOKafkaProducer

from contracts.auth import AccountActivated, AccountCreated
from contracts.event import Event
from contracts.gateway import Counts, UsageRecorded
from kit.clock import SystemClock
from kit.ids import uuid7
from sandbox.bench import bare_sql, ledger_books
from sandbox.bench.figures import Figure
from sandbox.bench.product import Measured, Say
from sandbox.stack import roles

ACCOUNTS: Final = 2000
MANY_ACCOUNTS: Final = 1_000_000
EVENTS: Final = 60_000
MUST_RATIO: Final = 0.2
MUST_WITHIN: Final = 1.5
MUST_TWO: Final = 1.6
MUST_VERIFIED: Final = 50_000
CORES_FOR_TWO: Final = 6
CHARGES_BEHIND: Final = 2_000_000
CHARGES_BEHIND_LARGE: Final = 20_000_000
LARGE: Final = "FAREGATE_BENCH_LARGE"
WAIT_S: Final = 600.0


async def ledger_figures(measured: Measured, say: Say) -> list[Figure]:
    """What one consumer applies, alone, on one hot account, among very many, and with years of charges behind it."""
    ids = await _make_accounts(measured, say)
    # What the others do with the ledger's events is not what is measured here.
    for name in ("gateway", "billing", "notifier", "auth"):
        await measured.stop(name)
    connection = await asyncpg.connect(measured.stack.database_url("ledger"))
    try:
        first = await _beside_bare_sql(measured, ids, say)
        rate = first.value
        figures = [first, await _compared(measured, say, ids[:1], rate, name="with one hot account")]
        say(f"ledger: making {MANY_ACCOUNTS} accounts")
        many = [uuid4() for _ in range(MANY_ACCOUNTS)]
        await ledger_books.make_accounts(connection, many)
        figures.append(await _compared(measured, say, many, rate, name="among a million accounts"))
        behind = CHARGES_BEHIND_LARGE if os.environ.get(LARGE) else CHARGES_BEHIND
        say(f"ledger: making {behind} charges")
        await ledger_books.make_charges(connection, many, count=behind)
        figures.append(await _compared(measured, say, ids, rate, name=f"with {behind // 10**6} M charges behind it"))
        await ledger_books.forget(connection, many)
    finally:
        await connection.close()
    return [*figures, _two_consumers(), await _verified(measured, say)]


async def _beside_bare_sql(measured: Measured, ids: list[UUID], say: Say) -> Figure:
    say(f"ledger: {EVENTS} events of {ACCOUNTS} accounts, from Kafka to committed rows")
    rate = await _applied_per_s(measured, ids)
    say("bare SQL on the same PostgreSQL")
    limit = await _bare_sql_per_s(measured)
    against, ratio = f"bare SQL {limit:,.0f} events/s", rate / limit
    name = "ledger: events applied by one consumer"
    return Figure(name, rate, "events/s", against, ratio, f">= {MUST_RATIO}", ratio >= MUST_RATIO)


async def _compared(measured: Measured, say: Say, ids: list[UUID], first: float, *, name: str) -> Figure:
    say(f"ledger: the same {name}")
    rate = await _applied_per_s(measured, ids)
    ratio = first / rate
    must = f"<= {MUST_WITHIN}"
    return Figure(f"ledger: {name}", rate, "events/s", f"{first:,.0f} events/s", ratio, must, ratio <= MUST_WITHIN)


def _two_consumers() -> Figure:
    cores = os.cpu_count() or 1
    against = f"not measured: {cores} cores, it takes {CORES_FOR_TWO}" if cores < CORES_FOR_TWO else "not measured yet"
    return Figure("ledger: two consumers", 0, "events/s", against, None, f">= {MUST_TWO}", None)


async def _verified(measured: Measured, say: Say) -> Figure:
    """Only what was booked by events is whole: the charges that were made have no transfers, and are gone by now."""
    say("ledger: verify")
    environment = psutil.Process(measured.supervisor.pid_of("ledger")).environ()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ledger", "verify", "--json",
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    began = time.perf_counter()
    output, _ = await process.communicate()
    report, elapsed_s = orjson.loads(output), time.perf_counter() - began
    rate = report["charges"] / elapsed_s
    holds = rate >= MUST_VERIFIED and bool(report["sound"])
    return Figure(
        "ledger: verify", rate, "charges/s", "the process's start included", None, f">= {MUST_VERIFIED}", holds
    )


async def _make_accounts(measured: Measured, say: Say) -> list[UUID]:
    """By events, so that their books are whole."""
    say(f"ledger: making {ACCOUNTS} accounts")
    ids = [uuid4() for _ in range(ACCOUNTS)]
    now = datetime.now(UTC)
    created: list[Event] = [
        AccountCreated(id=uuid4(), time=now, account_id=one, kind="personal", owner_user_id=uuid4()) for one in ids
    ]
    activated: list[Event] = [AccountActivated(id=uuid4(), time=now, account_id=one) for one in ids]
    await _send(measured, created + activated, source="auth")
    await _wait_for(measured, 'SELECT count(*) FROM "grant" WHERE account_id = ANY($1)', ids, count=ACCOUNTS)
    return ids


async def _applied_per_s(measured: Measured, accounts: Sequence[UUID]) -> float:
    """The ledger is away while the events are written, so that it finds them all waiting."""
    await measured.kill("ledger")
    clock, marker = SystemClock(), uuid4().hex
    events: list[Event] = [_usage(accounts[number * 7919 % len(accounts)], clock, marker) for number in range(EVENTS)]
    await _send(measured, events, source="gateway")
    await measured.start("ledger")
    statement = "SELECT count(*) FROM usage_detail WHERE admitted_at >= $1 AND gateway_instance = $2"
    counted, began = await _wait_for(measured, statement, events[0].time, marker, count=1)
    done, ended = await _wait_for(measured, statement, events[0].time, marker, count=EVENTS)
    return (done - counted) / (ended - began)


def _usage(account_id: UUID, clock: SystemClock, marker: str) -> UsageRecorded:
    now = clock.now()
    return UsageRecorded(
        id=uuid7(clock),
        time=now,
        account_id=account_id,
        gateway_instance=marker,
        surface="/v1/messages",
        streamed=True,
        model_asked="claude-sonnet-4-5",
        model_served="claude-sonnet-4-5",
        route="anthropic",
        outcome="completed",
        basis="provider",
        http_status=200,
        counts=Counts(input_tokens=90, cache_read_tokens=20, output_tokens=30),
        admitted_at=now,
        ended_at=now + timedelta(seconds=1),
        price_book_version=1,
        markup_bps=1500,
    )


async def _send(measured: Measured, events: list[Event], *, source: str) -> None:
    bootstrap = measured.stack.kafka_bootstrap
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=20, max_batch_size=1 << 18) as kafka:
        sent = [await kafka.send(event.type, event.encode(source), key=event.key.encode()) for event in events]
        await asyncio.gather(*sent)


async def _wait_for(measured: Measured, statement: str, *values: object, count: int) -> tuple[int, float]:
    """The count reached and when; asked of the ledger's own database."""
    connection = await asyncpg.connect(measured.stack.database_url("ledger"))
    try:
        async with asyncio.timeout(WAIT_S):
            while (found := int(await connection.fetchval(statement, *values))) < count:  # noqa: ASYNC110  # the rows are another process's
                await asyncio.sleep(0.1)
        return found, time.perf_counter()
    finally:
        await connection.close()


async def _bare_sql_per_s(measured: Measured) -> float:
    stack = measured.stack
    name = f"bench_{uuid4().hex[:8]}"
    connection = await asyncpg.connect(stack.admin_url)
    try:
        await roles.create_database(connection, name, service="ledger")
        try:
            url = stack.database_url("ledger", database=name)
            return await bare_sql.events_per_s(url, accounts=ACCOUNTS, events=EVENTS)
        finally:
            await roles.drop_database(connection, name)
    finally:
        await connection.close()

"""Events per second from Kafka to committed rows by one ledger, beside the bare SQL on the same PostgreSQL."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import asyncpg
from aiokafka import AIOKafkaProducer

from contracts.auth import AccountActivated, AccountCreated
from contracts.event import Event
from contracts.gateway import Counts, UsageRecorded
from kit.clock import SystemClock
from kit.ids import uuid7
from sandbox.bench import bare_sql
from sandbox.bench.figures import Figure
from sandbox.bench.product import Measured, Say
from sandbox.stack import roles

ACCOUNTS: Final = 2000
EVENTS: Final = 60_000
MUST_RATIO: Final = 0.1
WAIT_S: Final = 300.0


async def ledger_figures(measured: Measured, say: Say) -> list[Figure]:
    accounts = await _make_accounts(measured, say)
    # What the others do with the ledger's events is not what is measured here.
    for name in ("gateway", "billing", "notifier", "auth"):
        await measured.stop(name)
    say(f"ledger: {EVENTS} events of {ACCOUNTS} accounts, from Kafka to committed rows")
    rate = await _applied_per_s(measured, accounts)
    say("bare SQL on the same PostgreSQL")
    limit = await _bare_sql_per_s(measured)
    ratio = rate / limit
    against = f"bare SQL {limit:,.0f} events/s"
    must = f">= {MUST_RATIO}"
    return [
        Figure("ledger: events applied by one consumer", rate, "events/s", against, ratio, must, ratio >= MUST_RATIO)
    ]


async def _make_accounts(measured: Measured, say: Say) -> list[UUID]:
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


async def _applied_per_s(measured: Measured, accounts: list[UUID]) -> float:
    """The ledger is away while the events are written, so that it finds them all waiting."""
    await measured.kill("ledger")
    clock = SystemClock()
    events: list[Event] = [_usage(accounts[number % ACCOUNTS], clock) for number in range(EVENTS)]
    await _send(measured, events, source="gateway")
    await measured.start("ledger")
    statement = "SELECT count(*) FROM charge WHERE account_id = ANY($1)"
    first = await _wait_for(measured, statement, accounts, count=1)
    counted, began = first
    done, ended = await _wait_for(measured, statement, accounts, count=EVENTS)
    return (done - counted) / (ended - began)


def _usage(account_id: UUID, clock: SystemClock) -> UsageRecorded:
    now = clock.now()
    return UsageRecorded(
        id=uuid7(clock),
        time=now,
        account_id=account_id,
        gateway_instance="bench",
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


async def _wait_for(measured: Measured, statement: str, ids: list[UUID], *, count: int) -> tuple[int, float]:
    """The count reached and when; asked of the ledger's own database."""
    connection = await asyncpg.connect(measured.stack.database_url("ledger"))
    try:
        async with asyncio.timeout(WAIT_S):
            while (found := int(await connection.fetchval(statement, ids))) < count:  # noqa: ASYNC110  # the rows are another process's
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

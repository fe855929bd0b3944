"""Each statement of the reading routes uses the index that it was written for, however much one account has used.

`FAREGATE_READING_CALLS=1000000` measures the figures that are promised for a million calls; the usual run is small.
"""

import os
import re
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from factories import CREDIT, Factory
from harness import Ledger
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession

from ledger.domain.requests import RequestFilter, TransferFilter
from ledger.domain.usage import UsageQuery
from ledger.repository import reports
from ledger.repository.audit import list_audit
from ledger.service.standing import mark_balances

CALLS = int(os.environ.get("FAREGATE_READING_CALLS", "20000"))
MEASURED = 1_000_000
_AT = "CAST(:start AS timestamptz) + n * (interval '29 days' / :calls)"
_ID = f"""(lpad(to_hex((extract(epoch FROM {_AT}) * 1000)::bigint), 12, '0') || '70008000'
    || lpad(to_hex(n), 12, '0'))::uuid"""
FILL = (
    f"""
    INSERT INTO transfer (account_id, seq, source, target, unit, amount, kind, charge_id, grant_id, balance_after,
        booked_at, effective_at)
    SELECT :account_id, :seq + 2 * n - 1 + side, CASE side WHEN 0 THEN 'grant:' || :grant_text ELSE 'cost:m' END,
        CASE side WHEN 0 THEN 'revenue:m' ELSE 'provider' END, 'credit', 3450,
        CASE side WHEN 0 THEN 'deduction' ELSE 'cost' END, {_ID}, :grant_id, CASE side WHEN 0 THEN 1 END, {_AT}, {_AT}
    FROM generate_series(1, :calls) AS n, generate_series(0, 1) AS side ORDER BY n, side
    """,  # noqa: S608  # our own text
    f"""
    INSERT INTO charge (id, account_id, digest, outcome, price_nano, cost_nano, unit, price_book_version, plan_id,
        plan_version, markup_bps, model, admitted_at, booked_at)
    SELECT {_ID}, :account_id, '', 'completed', 3450, 3000, 'credit', 1, 'trial', 1, 1500, 'm', {_AT}, {_AT}
    FROM generate_series(1, :calls) AS n
    """,  # noqa: S608  # our own text
    f"""
    INSERT INTO usage_detail (id, account_id, api_key_id, gateway_instance, surface, streamed, model_asked, route,
        outcome, basis, input_tokens, cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens, output_tokens,
        web_search_requests, admitted_at, ended_at, attempts, first_seq, last_seq)
    SELECT {_ID}, :account_id, :key, 'g', '/v1/messages', true, 'm', 'r', 'completed', 'provider', 1, 0, 0, 0, 0, 0,
        {_AT}, {_AT}, 1, :seq + 2 * n - 1, :seq + 2 * n
    FROM generate_series(1, :calls) AS n
    """,  # noqa: S608  # our own text
    """
    INSERT INTO usage_day (account_id, day, plan_id, model, project_id, api_key_id, user_id, calls, failed,
        input_tokens, cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens, output_tokens, plan_requests,
        price_nano, value_nano, plan_tokens, overage_nano, cost_nano, recognised_nano)
    SELECT a.id, (CAST(:start AS timestamptz) + d * interval '1 day')::date, 'trial', 'm' || m, u.id, u.id, u.id,
        1, 0, 1, 0, 0, 0, 0, 0, 3450, 3450, 0, 0, 3000, 0
    FROM (SELECT CAST(:account_id AS uuid) AS id UNION ALL SELECT gen_random_uuid() FROM generate_series(1, 400)) AS a,
        generate_series(0, 60) AS d, generate_series(1, 2) AS m,
        (SELECT gen_random_uuid() AS id FROM generate_series(1, 2)) AS u
    """,
    """
    INSERT INTO audit_record (id, account_id, actor_user_id, action, target, recorded_at)
    SELECT gen_random_uuid(), CASE n % 50 WHEN 0 THEN CAST(:account_id AS uuid) ELSE gen_random_uuid() END,
        gen_random_uuid(), 'a', 't', now() FROM generate_series(1, 5000) AS n
    """,
    """
    INSERT INTO balance_mark (account_id, seq, booked_at, sums)
    SELECT gen_random_uuid(), 5000, :start, '{"accounts": {}, "kinds": []}' FROM generate_series(1, 5000)
    """,
    "UPDATE account SET transfer_seq = :seq + 2 * :calls WHERE id = :account_id",
)


def literal(value: object) -> str:
    """As SQL has it; the values are the test's own."""
    return str(value) if isinstance(value, int) else f"'{value}'"


Asked = Callable[[Callable[[Any], Awaitable[Any]]], Awaitable[str]]


@pytest.fixture
async def heavy(bare_ledger: Ledger, make: Factory, owner_url: str) -> tuple[Ledger, UUID]:
    """An account with many calls of the last 29 days, and marks on the way."""
    account_id, month_s = uuid4(), 30 * 24 * 3600.0
    bare_ledger.clock.advance(-month_s)
    await bare_ledger.deliver(make.plan(), make.created(account_id), make.activated(account_id))
    await bare_ledger.deliver(make.settled(account_id, 8_000_000 * CREDIT))
    (row,) = await bare_ledger.rows("SELECT transfer_seq FROM account WHERE id = :id", id=account_id)
    grant = (await bare_ledger.balance(account_id)).grants[-1]
    bare_ledger.clock.advance(month_s)
    values = {
        "account_id": account_id,
        "seq": row.transfer_seq,
        "calls": CALLS,
        "start": bare_ledger.clock.now() - timedelta(days=29),
        "grant_id": grant.id,
        "grant_text": str(grant.id),
        "key": uuid4(),
    }
    connection = await asyncpg.connect(owner_url)
    for statement in FILL:
        await connection.execute(re.sub(r"(?<![:a-z]):([a-z_]+)", lambda name: literal(values[name[1]]), statement))
    await mark_balances(bare_ledger.database)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return bare_ledger, account_id


@pytest.fixture
async def plan_of(heavy: tuple[Ledger, UUID]) -> Asked:
    """Awaited with a read: how PostgreSQL goes about each of its statements."""
    ledger, _ = heavy
    asked: list[tuple[str, Any]] = []
    engine = ledger.database.engine.sync_engine

    def on_execute(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    async def explain(read: Callable[[Any], Awaitable[Any]]) -> str:
        asked.clear()
        event.listen(engine, "before_cursor_execute", on_execute)
        try:
            async with ledger.database.reading() as session:
                await read(session)
        finally:
            event.remove(engine, "before_cursor_execute", on_execute)
        plans = []
        async with ledger.database.engine.connect() as connection:
            for statement, parameters in asked:
                if statement.lstrip().upper().startswith("SELECT"):
                    rows = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
                    plans += [row[0] for row in rows]
        return "\n".join(plans)

    return explain


async def test_no_reader_walks_through_a_table(heavy: tuple[Ledger, UUID], plan_of: Asked) -> None:
    ledger, account_id = heavy
    reading, now = ledger.reading, ledger.clock.now()
    middle, week = now - timedelta(days=15), now - timedelta(days=7)
    every = TransferFilter(account_id=account_id)
    window = TransferFilter(account_id=account_id, booked_from=middle, booked_to=week)
    days = UsageQuery(account_id=account_id, starts_at=middle, ends_at=now, granularity="day", groups=("model",))
    calls = RequestFilter(account_id=account_id, admitted_from=middle, admitted_to=week)
    reads: dict[str, tuple[Callable[[Any], Awaitable[Any]], tuple[str, ...]]] = {
        "transactions": (lambda s: reading.transactions(s, every, before=CALLS, limit=51), ("pk_transfer",)),
        "one type": (
            lambda s: reading.transactions(
                s, TransferFilter(account_id=account_id, kind="topup"), before=None, limit=51
            ),
            ("ix_transfer_rare",),
        ),
        "window": (
            lambda s: reading.transactions(s, window, before=None, limit=51),
            ("pk_transfer", "pk_balance_mark"),
        ),
        "at": (
            lambda s: reading.balance_at(s, account_id, middle),
            ("pk_transfer", "pk_balance_mark", "ix_transfer_ahead"),
        ),
        "usage": (lambda s: reading.usage(s, days, after=None, limit=201), ("pk_usage_day",)),
        "requests": (lambda s: reading.requests(s, calls, before=None, limit=51), ("usage_detail_2026_11_pkey",)),
        "audit": (
            lambda s: list_audit(s, account_id=account_id, before=None, limit=51),
            ("ix_audit_record_account_id_id",),
        ),
        "margins": (
            lambda s: reports.list_margins(
                s, "model", first=week.date(), last=week.date() + timedelta(days=1), limit=9
            ),
            ("ix_usage_day_day",),
        ),
    }
    for name, (read, indexes) in reads.items():
        plan = await plan_of(read)
        told = f"{name}:\n{plan}"
        assert all(index in plan for index in indexes), told
        for table in ("transfer", "usage_day", "usage_detail_2026_11", "charge_2026_11", "audit_record"):
            assert f"Seq Scan on {table}" not in plan, told


async def test_what_is_promised_for_a_million_calls(heavy: tuple[Ledger, UUID]) -> None:
    """Below a million calls the figures are only shown."""
    ledger, account_id = heavy
    reading, now = ledger.reading, ledger.clock.now()
    days = UsageQuery(account_id=account_id, starts_at=now - timedelta(days=30), ends_at=now, granularity="day")
    every = TransferFilter(account_id=account_id)
    reads: dict[str, tuple[Callable[[Any, int], Awaitable[Any]], float]] = {
        "balance": (lambda s, _: reading.balance(s, account_id), 0.020),
        "balance at": (lambda s, n: reading.balance_at(s, account_id, now - timedelta(hours=3 * n)), 0.060),
        "transactions": (lambda s, n: reading.transactions(s, every, before=CALLS - 300 * n, limit=51), 0.030),
        "usage by day": (lambda s, _: reading.usage(s, days, after=None, limit=201), 0.100),
    }
    bare_s = (await timed(ledger, nothing))[1]
    figures = {name: await timed(ledger, read) for name, (read, _) in reads.items()}

    for name, (p50_s, p99_s) in figures.items():
        # What the machine takes for a session and nothing else, now: others may be at work on it.
        told = f"p50 {p50_s * 1000:.1f} ms, p99 {p99_s * 1000:.1f} ms; a session alone p99 {bare_s * 1000:.1f} ms"
        print(f"{name} over {CALLS} calls: {told}")  # noqa: T201  # figures
    if CALLS >= MEASURED:
        late = {name: p99_s for name, (_, p99_s) in figures.items() if p99_s > reads[name][1] + bare_s}
        assert not late


async def nothing(session: AsyncSession, _: int) -> None:
    await session.execute(text("SELECT 1"))


async def timed(ledger: Ledger, read: Callable[[Any, int], Awaitable[Any]]) -> tuple[float, float]:
    """The median and the 99th percentile of 200 reads, one after the other."""
    times = []
    for number in range(200):
        began = time.perf_counter()
        async with ledger.database.reading() as session:
            await read(session, number)
        times.append(time.perf_counter() - began)
    return sorted(times)[100], sorted(times)[197]

"""Events per second from Kafka to committed rows by one ledger, beside the bare SQL on the same PostgreSQL."""

import os
from collections.abc import Sequence
from typing import Final
from uuid import UUID, uuid4

import asyncpg

from sandbox.bench import bare_sql, ledger_books
from sandbox.bench.figures import Figure
from sandbox.bench.ledger_commands import command_figures
from sandbox.bench.ledger_load import applied_per_s, new_accounts
from sandbox.bench.ledger_reads import read_figures
from sandbox.bench.ledger_visible import visible_figure
from sandbox.bench.pinning import unpin
from sandbox.bench.product import Measured, Say
from sandbox.programs import SERVERS
from sandbox.stack import roles

ACCOUNTS: Final = 2000
MANY_ACCOUNTS: Final = 1_000_000
EVENTS: Final = 60_000
MUST_RATIO: Final = 0.2
MUST_WITHIN: Final = 1.5
MUST_TWO: Final = 1.6
CORES_FOR_TWO: Final = 6
CHARGES_BEHIND: Final = "FAREGATE_BENCH_CHARGES"
CHARGES_BEHIND_USUALLY: Final = 20_000_000
BESIDE: Final = ("gateway", "billing", "notifier")


async def ledger_figures(measured: Measured, say: Say) -> list[Figure]:
    """One consumer alone, with one hot account, how late balances are, and what operators run."""
    connection = await _alone(measured)
    try:
        ids = new_accounts(ACCOUNTS)
        await ledger_books.make_accounts(connection, ids)
        first = await _beside_bare_sql(measured, ids, say)
        hot = await _compared(measured, say, ids[:1], first.value, name="with one hot account")
        visible = await visible_figure(measured, ids, say)
        commands = await command_figures(measured, first.value, say)
    finally:
        await connection.close()
    return [first, hot, _two_consumers(), visible, *commands]


async def large_ledger_figures(measured: Measured, say: Say) -> list[Figure]:
    """The same among very many accounts and with years of charges behind, and what a large account waits for."""
    connection = await asyncpg.connect(measured.stack.database_url("ledger"))
    try:
        reads = await read_figures(measured, connection, say)
        await (await _alone(measured)).close()
        ids, many = new_accounts(ACCOUNTS), new_accounts(MANY_ACCOUNTS)
        await ledger_books.make_accounts(connection, ids)
        say("ledger: as it is, to compare with")
        rate = await applied_per_s(measured, ids, events=EVENTS)
        say(f"ledger: making {MANY_ACCOUNTS} accounts")
        await ledger_books.make_accounts(connection, many)
        among = await _compared(measured, say, many, rate, name="among a million accounts")
        behind = int(os.environ.get(CHARGES_BEHIND, CHARGES_BEHIND_USUALLY))
        say(f"ledger: making {behind} charges")
        await ledger_books.make_charges(connection, many, count=behind)
        old = await _compared(measured, say, ids, rate, name=f"with {behind // 10**6} M charges behind it")
    finally:
        await connection.close()
    return [among, old, *reads]


async def _alone(measured: Measured) -> asyncpg.Connection:
    """What the others do with the ledger's events is not what is measured here; no core is kept for a gateway."""
    for name in BESIDE:
        await measured.stop(name)
    for name in SERVERS:
        unpin(measured.supervisor.pid_of(name))
    return await asyncpg.connect(measured.stack.database_url("ledger"))


async def _beside_bare_sql(measured: Measured, ids: Sequence[UUID], say: Say) -> Figure:
    say(f"ledger: {EVENTS} events of {ACCOUNTS} accounts, from Kafka to committed rows")
    rate = await applied_per_s(measured, ids, events=EVENTS)
    say("bare SQL on the same PostgreSQL")
    limit = await _bare_sql_per_s(measured)
    against, ratio = f"bare SQL {limit:,.0f} events/s", rate / limit
    name = "ledger: events applied by one consumer"
    return Figure(name, rate, "events/s", against, ratio, f">= {MUST_RATIO}", ratio >= MUST_RATIO)


async def _compared(measured: Measured, say: Say, ids: Sequence[UUID], first: float, *, name: str) -> Figure:
    say(f"ledger: the same {name}")
    rate = await applied_per_s(measured, ids, events=EVENTS)
    ratio = first / rate
    must = f"<= {MUST_WITHIN}"
    return Figure(f"ledger: {name}", rate, "events/s", f"{first:,.0f} events/s", ratio, must, ratio <= MUST_WITHIN)


def _two_consumers() -> Figure:
    cores = os.cpu_count() or 1
    against = f"not measured: {cores} cores, it takes {CORES_FOR_TWO}" if cores < CORES_FOR_TWO else "not measured yet"
    return Figure("ledger: two consumers", 0, "events/s", against, None, f">= {MUST_TWO}", None)


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

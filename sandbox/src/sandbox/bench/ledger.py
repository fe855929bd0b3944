"""Events per second from Kafka to committed rows by one ledger, beside the bare SQL on the same PostgreSQL."""

import os
from collections.abc import Collection, Sequence
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
TURNS: Final = 5
"""What is compared is measured in turns: a machine that others use too is not equally fast from minute to minute."""
MUST_RATIO: Final = 0.2
MUST_WITHIN: Final = 1.5
MUST_TWO: Final = 1.6
CORES_FOR_TWO: Final = 6
FIGURES: Final = ("rate", "hot", "visible", "commands")
LARGE_FIGURES: Final = ("reads", "many", "behind")
ACCOUNTS_BESIDE: Final = "FAREGATE_BENCH_ACCOUNTS"
CHARGES_BEHIND: Final = "FAREGATE_BENCH_CHARGES"
CHARGES_BEHIND_USUALLY: Final = 20_000_000
AS_LARGE: Final = {"shared_buffers": "4GB", "max_wal_size": "8GB", "wal_compression": "on"}
"""What a PostgreSQL with so many rows is given; the first of the figures is measured with it as well."""
BESIDE: Final = ("gateway", "billing", "notifier")


class Books:
    """What the figures are measured on, made when the first of them asks for it."""

    def __init__(self, measured: Measured, connection: asyncpg.Connection, say: Say) -> None:
        self.measured, self.connection, self.say = measured, connection, say
        self._ids: list[UUID] = []
        self._many: list[UUID] = []
        self._rate: float | None = None

    async def ids(self) -> list[UUID]:
        if not self._ids:
            self._ids = new_accounts(ACCOUNTS)
            await ledger_books.make_accounts(self.connection, self._ids)
        return self._ids

    async def many(self) -> list[UUID]:
        if not self._many:
            count = int(os.environ.get(ACCOUNTS_BESIDE, MANY_ACCOUNTS))
            self.say(f"ledger: making {count} accounts")
            self._many = new_accounts(count)
            await ledger_books.make_accounts(self.connection, self._many)
        return self._many

    async def rate(self) -> float:
        """Events per second of so many accounts, each with a few calls in a batch."""
        if self._rate is None:
            self.say(f"ledger: {EVENTS} events of {ACCOUNTS} accounts, from Kafka to committed rows")
            self._rate = await applied_per_s(self.measured, await self.ids(), events=EVENTS)
        return self._rate


async def ledger_figures(measured: Measured, say: Say, *, only: Collection[str] = FIGURES) -> list[Figure]:
    """One consumer alone, with one hot account, how late balances are, and what operators run."""
    connection = await _alone(measured)
    books, figures = Books(measured, connection, say), []
    try:
        if "rate" in only:
            figures += [await _beside_bare_sql(books), _two_consumers()]
        if "hot" in only:
            figures.append(await _compared(books, (await books.ids())[:1], name="with one hot account"))
        if "visible" in only:
            figures.append(await visible_figure(measured, await books.ids(), say))
        if "commands" in only:
            figures += await command_figures(measured, await books.rate(), say)
    finally:
        await connection.close()
    return figures


async def large_ledger_figures(measured: Measured, say: Say, *, only: Collection[str] = LARGE_FIGURES) -> list[Figure]:
    """The same among very many accounts and with years of charges behind, and what a large account waits for."""
    await _enlarge(measured)
    connection = await asyncpg.connect(measured.stack.database_url("ledger"))
    books, figures = Books(measured, connection, say), []
    try:
        if "reads" in only:
            figures += await read_figures(measured, connection, say)
        await (await _alone(measured)).close()
        if "many" in only:
            figures.append(await _compared(books, await books.many(), name="a million accounts"))
        if "behind" in only:
            first = await books.rate()
            behind = int(os.environ.get(CHARGES_BEHIND, CHARGES_BEHIND_USUALLY))
            say(f"ledger: making {behind} charges")
            await ledger_books.make_charges(connection, await books.many(), count=behind)
            name = f"with {behind / 10**6:g} M charges behind it"
            rate = await applied_per_s(measured, await books.ids(), events=EVENTS)
            figures.append(_within(first, rate, name=name))
    finally:
        await connection.close()
    return figures


async def _enlarge(measured: Measured) -> None:
    postgres = measured.stack.postgres
    await postgres.stop()
    postgres.settings |= AS_LARGE
    await postgres.start()


async def _alone(measured: Measured) -> asyncpg.Connection:
    """What the others do with the ledger's events is not what is measured here; no core is kept for a gateway."""
    for name in BESIDE:
        await measured.stop(name)
    for name in SERVERS:
        unpin(measured.supervisor.pid_of(name))
    return await asyncpg.connect(measured.stack.database_url("ledger"))


async def _beside_bare_sql(books: Books) -> Figure:
    rate = await books.rate()
    books.say("bare SQL on the same PostgreSQL")
    limit = await _bare_sql_per_s(books.measured)
    against, ratio = f"bare SQL {limit:,.0f} events/s", rate / limit
    name = "ledger: events applied by one consumer"
    return Figure(name, rate, "events/s", against, ratio, f">= {MUST_RATIO}", ratio >= MUST_RATIO)


async def _compared(books: Books, ids: Sequence[UUID], *, name: str) -> Figure:
    first_s = compared_s = 0.0
    for turn in range(1, TURNS + 1):
        first_s += 1 / await applied_per_s(books.measured, await books.ids(), events=EVENTS)
        compared_s += 1 / await applied_per_s(books.measured, ids, events=EVENTS)
        books.say(f"ledger: {name}, turn {turn} of {TURNS}: {compared_s / first_s:.2f} times slower so far")
    return _within(TURNS / first_s, TURNS / compared_s, name=name)


def _within(first: float, rate: float, *, name: str) -> Figure:
    ratio, must = first / rate, f"<= {MUST_WITHIN}"
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

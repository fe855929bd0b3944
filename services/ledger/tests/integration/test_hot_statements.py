"""Each statement of the hot path has the index that it was written for.

A batch finds its rows by index whatever the planner believes (`find_by_index`): so many accounts that it would rather
read them all show that. What reads spans may not read whole tables or hash them here, so that what has no index to go
by is read from end to end.
"""

# ruff: noqa: E501, ISC004, S608  # statements in tables

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest
from factories import Factory
from harness import Ledger
from sqlalchemy import event

from kit.clock import ManualClock
from ledger.repository import accounts, driver, grants, sealing, usage_days, verifying

ACCOUNTS = 15_000
IN_A_BATCH = 2_000
FILL = (
    "INSERT INTO account (id, state, created_at, transfer_seq) SELECT gen_random_uuid(), 'open', now(), 1"
    f" FROM generate_series(1, {ACCOUNTS})",
    'INSERT INTO "grant" (id, account_id, source, unit, amount, remaining, priority, starts_at, rule, period, created_at)'
    " SELECT gen_random_uuid(), id, 'trial', 'credit', 9, 9, 1, 'epoch', 'r', 'p', now() FROM account",
    "INSERT INTO charge (id, account_id, digest, outcome, price_nano, cost_nano, unit, price_book_version, markup_bps,"
    " model, admitted_at, booked_at) SELECT gen_random_uuid(), id, '', 'completed', 0, 0, 'credit', 1, 0, 'm', now(), now()"
    " FROM account",
    "INSERT INTO transfer (account_id, seq, source, target, unit, amount, kind, booked_at, effective_at, hash)"
    " SELECT id, 1, 'a', 'b', 'credit', 1, 'topup', now(), now(), '' FROM account",
    "INSERT INTO usage_day SELECT id, current_date, '', 'm', id, id, id, 1, 0, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 0 FROM account",
    "INSERT INTO sealed_head SELECT id, current_date, 1, '', 0, now() FROM account",
    "ANALYZE",
)
BIG = {"account", "grant", "transfer", "usage_day", "sealed_head"}


@pytest.fixture
async def filled(bare_ledger: Ledger, owner_url: str, make: Factory, clock: ManualClock) -> AsyncIterator[Any]:
    await bare_ledger.deliver(make.plan())
    connection = await asyncpg.connect(owner_url)
    for statement in FILL:
        await connection.execute(statement)
    yield connection
    await connection.close()


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(inner for one in plan.get("Plans", ()) for inner in nodes(one))]


async def explained(connection: Any, statement: str, *values: Any) -> tuple[set[str], set[str]]:
    """The indexes by whose order a statement finds rows, and the tables that it reads from end to end."""
    async with connection.transaction():
        await connection.execute(driver._BY_INDEX)
        (plan,) = orjson.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *values))
    found = nodes(plan["Plan"])
    used = {one["Index Name"] for one in found if "Index Cond" in one}
    used |= {index for one in found for index in one.get("Conflict Arbiter Indexes", ())}
    return used, {one["Relation Name"] for one in found if one["Node Type"] == "Seq Scan"} & BIG


async def check_batch(filled: Any, bare_ledger: Ledger, make: Factory) -> None:
    asked: dict[str, tuple[Any, ...]] = {}
    await bare_ledger.database.engine.dispose()

    @event.listens_for(bare_ledger.database.engine.sync_engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        connection.driver_connection.add_query_logger(lambda one: asked.setdefault(one.query, one.args or ()))

    ids: list[UUID] = [row["id"] for row in await filled.fetch("SELECT id FROM account LIMIT 500")]
    await bare_ledger.deliver(*(make.usage(account_id) for account_id in ids))
    assert " ".join(driver._BY_INDEX.split()) in asked, "a batch finds its rows by index"
    wanted = {
        "FOR UPDATE": "pk_account",
        'FROM "grant" WHERE account_id': "ix_grant_account_id",
        'UPDATE "grant"': "pk_grant",
    }
    for words, index in wanted.items():
        found = [one for one in asked if words in " ".join(one.split())]
        assert len(found) == 1, (words, len(asked), found)
        (statement,) = found
        used, scanned = await explained(filled, statement, *asked[statement])
        assert index in used, (statement, used)
        assert not scanned, statement


async def check_copied(filled: Any) -> None:
    moved = (
        ("moved_account", accounts._STAGED, "account", accounts._UPDATE, "pk_account"),
        ("moved_grant", grants._STAGED, '"grant"', grants._UPDATE, "pk_grant"),
    )
    for staged, definition, table, update, index in moved:
        await filled.execute(f"CREATE TEMPORARY TABLE {staged} ({definition})")
        await filled.execute(f"INSERT INTO {staged} (id) SELECT id FROM {table} LIMIT $1", IN_A_BATCH)
        assert await explained(filled, update) == ({index}, set())

    await filled.execute("CREATE TEMPORARY TABLE arriving_day (LIKE usage_day)")
    assert await explained(filled, usage_days._ADD) == ({"pk_usage_day"}, set())


async def check_standing(filled: Any) -> None:
    rows = await filled.fetch("SELECT account_id, id FROM charge LIMIT 500")
    used, scanned = await explained(
        filled,
        "SELECT digest FROM charge JOIN unnest($1::uuid[], $2::uuid[]) AS n(account_id, id) USING (account_id, id)",
        [row["account_id"] for row in rows],
        [row["id"] for row in rows],
    )

    assert used
    assert all(name.endswith("_pkey") for name in used)
    assert not scanned


async def check_spans(filled: Any) -> None:
    ids = [row["id"] for row in await filled.fetch("SELECT id FROM account ORDER BY id LIMIT 1000")]
    heads = sealing._HEADS.replace(":after", "$1").replace(":accounts", "$2").replace(":ends_at", "now()")
    used, scanned = await explained(filled, heads, ids[0], 1000)
    assert {"pk_account", "pk_transfer", "pk_sealed_head"} <= used
    assert not scanned

    chain = verifying.CHAIN.replace(":first", "$1").replace(":end", "$2")
    used, scanned = await explained(filled, chain, ids[0], ids[500])
    assert used == {"pk_transfer"}
    assert not scanned


@pytest.mark.timeout(300)
async def test_what_is_asked_often_is_found_by_index(filled: Any, bare_ledger: Ledger, make: Factory) -> None:
    """One test: making the rows takes longer than all that is asked of them."""
    await check_copied(filled)
    await check_standing(filled)
    await check_spans(filled)
    await check_batch(filled, bare_ledger, make)

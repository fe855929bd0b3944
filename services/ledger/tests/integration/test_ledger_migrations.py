"""The migrations go up and down, and what they make is what the code sees."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import create_async_engine

from kit import migrations
from kit.database import Database, async_url
from ledger.repository.partitions import ensure_partitions
from ledger.tables import metadata
from sandbox.testing import FreshDatabase

MIGRATIONS = Path(__file__).parents[2] / "migrations"


async def test_each_migration_goes_up_and_down_and_up_again(fresh_database: FreshDatabase) -> None:
    url = await fresh_database("ledger")
    revisions = list(ScriptDirectory.from_config(migrations.config(MIGRATIONS, url)).walk_revisions("base", "heads"))

    for revision in reversed(revisions):
        await asyncio.to_thread(migrations.upgrade, MIGRATIONS, url, revision.revision)
        await asyncio.to_thread(migrations.downgrade, MIGRATIONS, url, str(revision.down_revision or "base"))
        await asyncio.to_thread(migrations.upgrade, MIGRATIONS, url, revision.revision)


async def test_accounts_that_have_budgets_are_known_to_have_them_whoever_wrote_them(
    fresh_database: FreshDatabase,
) -> None:
    """Also a process of the version before, which knows nothing of the mark."""
    url = await fresh_database("ledger")
    await asyncio.to_thread(migrations.upgrade, MIGRATIONS, url, "2026_11_22_0540")
    before, after, without = uuid4(), uuid4(), uuid4()
    connection = await asyncpg.connect(url)
    for account_id in (before, after, without):
        await connection.execute("INSERT INTO account (id, state, created_at) VALUES ($1, 'open', now())", account_id)
    budget = (
        'INSERT INTO budget (account_id, scope, scope_id, "window", limit_nano, spent_nano)'
        " VALUES ($1, 'account', $1, 'day', 1, 0)"
    )
    await connection.execute(budget, before)

    await asyncio.to_thread(migrations.upgrade, MIGRATIONS, url, "head")
    await connection.execute(budget, after)

    rows = await connection.fetch("SELECT id FROM account WHERE has_budgets")
    await connection.close()
    assert {row["id"] for row in rows} == {before, after}


async def test_the_migrated_columns_are_those_that_the_code_names(database_url: str) -> None:
    engine = create_async_engine(async_url(database_url))
    async with engine.connect() as connection:
        found = await connection.run_sync(
            lambda sync: {
                table: {column["name"]: column["nullable"] for column in inspect(sync).get_columns(table)}
                for table in metadata.tables
            }
        )
    await engine.dispose()

    assert found == {
        name: {column.name: column.nullable for column in table.columns} for name, table in metadata.tables.items()
    }


async def test_charges_are_partitioned_by_the_month_in_their_id(database_url: str) -> None:
    """(money.md 18)."""
    database = Database(database_url, source="ledger")
    now = datetime(2031, 3, 31, 23, 59, tzinfo=UTC)
    async with database.transaction() as session:
        assert await ensure_partitions(session, now=now, months_ahead=2) == 2 * 4
        assert await ensure_partitions(session, now=now, months_ahead=2) == 0
    await database.close()
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch("SELECT relid::text AS name FROM pg_partition_tree('charge') WHERE isleaf")
    await connection.close()

    names = {row["name"] for row in rows}
    assert {"charge_2031_02", "charge_2031_03", "charge_2031_04", "charge_2031_05", "charge_rest"} <= names


@pytest.mark.parametrize("statement", ["UPDATE transfer SET amount = 2", "DELETE FROM transfer", "TRUNCATE transfer"])
async def test_transfers_are_only_ever_inserted(owner_url: str, statement: str) -> None:
    connection = await asyncpg.connect(owner_url)
    await connection.execute(
        "INSERT INTO transfer (account_id, seq, source, target, unit, amount, kind, booked_at, effective_at)"
        " VALUES ($1, 1, 'trial', 'grant:1', 'credit', 1, 'topup', now(), now())",
        uuid4(),
    )

    with pytest.raises(asyncpg.exceptions.RestrictViolationError, match="only ever inserted"):
        await connection.execute(statement)
    await connection.close()

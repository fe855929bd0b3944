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

"""The migrations go up and down, and end at what the tables say."""

import asyncio

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from services.notifier.tests.conftest import MIGRATIONS
from sqlalchemy import Connection, inspect

from kit import migrations
from kit.database import Database
from notifier.tables import Base


async def test_each_migration_goes_up_down_and_up_again_and_ends_at_the_tables(fresh_database) -> None:
    url = await fresh_database("notifier")
    await asyncio.to_thread(migrations.upgrade, MIGRATIONS, url)
    await asyncio.to_thread(migrations.downgrade, MIGRATIONS, url, "base")
    database = Database(url, source="notifier")
    async with database.engine.connect() as connection:
        left = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names()))
    await asyncio.to_thread(migrations.upgrade, MIGRATIONS, url)
    async with database.engine.connect() as connection:
        differences = await connection.run_sync(_differences)
    await database.close()

    assert left == {"alembic_version"}
    assert differences == []


def _differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))

import asyncio
from pathlib import Path

import asyncpg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import create_async_engine

from auth.tables import Base
from kit import migrations
from kit.database import async_url

MIGRATIONS = Path(__file__).parents[2] / "migrations"


async def test_migrations_run_up_down_and_up_again(fresh_database):
    url = await fresh_database("auth")

    await asyncio.to_thread(migrations.upgrade, MIGRATIONS, url)
    await asyncio.to_thread(migrations.downgrade, MIGRATIONS, url, "base")
    assert await _tables(url) == ["alembic_version"]
    await asyncio.to_thread(migrations.upgrade, MIGRATIONS, url)

    assert set(await _tables(url)) == {*Base.metadata.tables, "alembic_version"}


async def test_migrations_make_the_tables_that_the_code_expects(fresh_database):
    url = await fresh_database("auth")
    await asyncio.to_thread(migrations.upgrade, MIGRATIONS, url)

    engine = create_async_engine(async_url(url))
    async with engine.connect() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync), Base.metadata)
        )
    await engine.dispose()

    assert differences == []


async def _tables(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    await connection.close()
    return [row["tablename"] for row in rows]

import asyncio
from pathlib import Path
from uuid import uuid4

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


async def test_rows_of_the_first_release_stay_and_can_be_written_as_before(fresh_database):
    url = await fresh_database("auth")
    await asyncio.to_thread(migrations.upgrade, MIGRATIONS, url, "a0001")
    await _insert_as_before(url, "ada")

    await asyncio.to_thread(migrations.upgrade, MIGRATIONS, url)
    await _insert_as_before(url, "bob")
    await asyncio.to_thread(migrations.downgrade, MIGRATIONS, url, "a0001")
    await asyncio.to_thread(migrations.upgrade, MIGRATIONS, url)

    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT budgets, allowed_networks, rotated_at FROM api_keys")
    messages = await connection.fetchval("SELECT count(*) FROM messages")
    await connection.close()
    assert [tuple(row) for row in rows] == [("[]", [], None)] * 2
    assert messages == 2


async def _insert_as_before(url: str, name: str) -> None:
    """What a process of the first release writes, also while a newer one runs beside it."""
    user, account, project, key, message = (uuid4() for _ in range(5))
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        await connection.execute(
            "INSERT INTO users (id, address, address_normal, state, operator, version, created_at)"
            " VALUES ($1, $2, $2, 'active', false, 1, now())",
            user,
            f"{name}@example.com",
        )
        await connection.execute(
            "INSERT INTO accounts (id, kind, state, version, created_at) VALUES ($1, 'personal', 'open', 1, now())",
            account,
        )
        await connection.execute(
            "INSERT INTO members (account_id, user_id, role, state, version) VALUES ($1, $2, 'owner', 'active', 1)",
            account,
            user,
        )
        await connection.execute(
            "INSERT INTO projects (id, account_id, name, is_default, state, version, created_at)"
            " VALUES ($1, $2, 'Default', true, 'active', 1, now())",
            project,
            account,
        )
        await connection.execute(
            "INSERT INTO api_keys (id, account_id, project_id, user_id, name, mode, key_sha256, prefix, last4, scopes,"
            " state, version, created_at) VALUES ($1, $2, $3, $4, 'x', 'test', $5, 'fg_test_', 'abcd', '{}', 'active',"
            " 1, now())",
            key,
            account,
            project,
            user,
            str(key),
        )
        await connection.execute(
            "INSERT INTO messages (id, kind, user_id, created_at) VALUES ($1, 'verify-email', $2, now())",
            message,
            user,
        )
    await connection.close()

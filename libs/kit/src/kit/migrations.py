"""Alembic, driven by code: every service migrates in the same way, with a lock time-out."""

import asyncio
from pathlib import Path
from typing import Final

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from kit.database import async_url

LOCK_TIMEOUT: Final = "5s"


def config(folder: Path, url: str) -> Config:
    """The Alembic configuration for a service's `migrations` folder."""
    settings = Config()
    settings.set_main_option("script_location", str(folder))
    settings.attributes["url"] = url
    settings.attributes["configure_logger"] = False
    return settings


def upgrade(folder: Path, url: str, revision: str = "head") -> None:
    command.upgrade(config(folder, url), revision)


def downgrade(folder: Path, url: str, revision: str) -> None:
    command.downgrade(config(folder, url), revision)


def run_env(metadata: MetaData) -> None:
    """Body of each service's `migrations/env.py`."""
    asyncio.run(_migrate(context.config.attributes["url"], metadata))


async def _migrate(url: str, metadata: MetaData) -> None:
    engine = create_async_engine(async_url(url), poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(_run, metadata)
        await connection.commit()
    await engine.dispose()


def _run(connection: Connection, metadata: MetaData) -> None:
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    # A transaction that is open here would take in all migrations, and leave no room for concurrent indexes.
    connection.commit()
    context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()

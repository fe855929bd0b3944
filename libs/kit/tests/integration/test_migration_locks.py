"""A migration that cannot have its lock gives up soon, and does not hold up the service behind it."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from kit import migrations
from kit.database import Database, is_transient

ENV = "from kit.migrations import run_env\nfrom sqlalchemy import MetaData\n\nrun_env(MetaData())\n"
REVISION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "{revision}", {down}, None, None


def upgrade() -> None:
    {statement}


def downgrade() -> None:
    pass
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "env.py").write_text(ENV)
    versions = tmp_path / "versions"
    versions.mkdir()
    statements = ('op.execute("CREATE TABLE thing (id int)")', 'op.add_column("thing", sa.Column("name", sa.Text))')
    for number, statement in enumerate(statements):
        down = repr(f"{number - 1}") if number else None
        (versions / f"{number}.py").write_text(REVISION.format(revision=number, down=down, statement=statement))
    return tmp_path


async def test_a_migration_waits_for_a_lock_only_so_long(
    database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    await asyncio.to_thread(migrations.upgrade, folder, url, "0")

    async with database.transaction() as reader:
        await reader.execute(text("SELECT * FROM thing"))
        began = time.monotonic()
        with pytest.raises(DBAPIError) as refused:
            await asyncio.to_thread(migrations.upgrade, folder, url)
    assert 4 < time.monotonic() - began < 10
    assert is_transient(refused.value)

    await asyncio.to_thread(migrations.upgrade, folder, url)
    async with database.reading() as session:
        await session.execute(text("SELECT name FROM thing"))

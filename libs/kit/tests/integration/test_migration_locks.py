"""A migration that cannot have its lock gives up soon, and does not hold up the service behind it."""

import asyncio
from pathlib import Path

from sqlalchemy import text

from kit import migrations
from kit.database import Database

ENV = "from kit.migrations import run_env\nfrom sqlalchemy import MetaData\n\nrun_env(MetaData())\n"
REVISION = """
from alembic import op

revision, down_revision, branch_labels, depends_on = "{number}", {before!r}, None, None


def upgrade() -> None:
    op.execute("CREATE TABLE waited_{number} AS SELECT current_setting('lock_timeout') AS longest")


def downgrade() -> None:
    op.execute("DROP TABLE waited_{number}")
"""


async def test_every_migration_waits_for_a_lock_only_so_long(database: Database, tmp_path: Path) -> None:
    (tmp_path / "env.py").write_text(ENV)
    versions = tmp_path / "versions"
    versions.mkdir()
    for number, before in ((1, None), (2, "1")):
        (versions / f"{number}.py").write_text(REVISION.format(number=number, before=before))

    url = database.engine.url.render_as_string(hide_password=False)
    await asyncio.to_thread(migrations.upgrade, tmp_path, url)

    async with database.reading() as session:
        for number in (1, 2):
            longest = await session.scalar(text(f"SELECT longest FROM waited_{number}"))  # noqa: S608
            assert longest == migrations.LOCK_TIMEOUT

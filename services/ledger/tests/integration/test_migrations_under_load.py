"""Migrations of a ledger that is full, and of one that is being written to."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest
from alembic.script import ScriptDirectory
from conftest import MIGRATIONS
from factories import Factory
from harness import Ledger
from sqlalchemy.exc import DBAPIError

from kit import migrations
from kit.clock import ManualClock
from kit.database import Database

FIRST = "2026_11_21_1600"


async def filled(url: str, clock: ManualClock, make: Factory) -> Ledger:
    ledger = Ledger(Database(url, source="ledger"), clock)
    await ledger.publish_prices()
    account_id = uuid4()
    await ledger.deliver(make.plan(), make.created(account_id), make.activated(account_id))
    await ledger.deliver(*(make.usage(account_id) for _ in range(20)))
    await ledger.adjust(account_id, 7)
    return ledger


async def test_a_filled_ledger_goes_down_to_its_first_shape_and_up_again(
    owner_url: str, clock: ManualClock, make: Factory
) -> None:
    ledger = await filled(owner_url, clock, make)
    counted = (
        'SELECT (SELECT count(*) FROM charge), (SELECT count(*) FROM transfer), (SELECT sum(remaining) FROM "grant")'
    )
    before = [tuple(row) for row in await ledger.rows(counted)]
    revisions = ScriptDirectory.from_config(migrations.config(MIGRATIONS, owner_url)).walk_revisions(FIRST, "heads")

    for revision in [one for one in revisions if one.revision != FIRST]:
        await asyncio.to_thread(migrations.downgrade, MIGRATIONS, owner_url, str(revision.down_revision))
    await asyncio.to_thread(migrations.upgrade, MIGRATIONS, owner_url)

    after = [tuple(row) for row in await ledger.rows(counted)]
    await ledger.database.close()
    assert after == before


async def test_a_migration_that_gets_no_lock_gives_up_whole_and_succeeds_later(
    owner_url: str, clock: ManualClock, make: Factory
) -> None:
    ledger = await filled(owner_url, clock, make)
    script = ScriptDirectory.from_config(migrations.config(MIGRATIONS, owner_url))
    newest = script.get_current_head()
    assert newest is not None
    await asyncio.to_thread(migrations.downgrade, MIGRATIONS, owner_url, "2026_11_21_1730")
    writer = await asyncpg.connect(owner_url)
    held = writer.transaction()
    await held.start()
    await writer.execute("UPDATE account SET version = version + 1")

    with pytest.raises(DBAPIError, match="lock timeout"):
        await asyncio.to_thread(migrations.upgrade, MIGRATIONS, owner_url)
    assert not await writer.fetchval("SELECT to_regclass('charge_correction') IS NOT NULL")
    # The writer never waited for the migration that waited for it.
    await writer.execute("UPDATE account SET version = version + 1")
    await held.commit()
    await asyncio.to_thread(migrations.upgrade, MIGRATIONS, owner_url)

    assert await writer.fetchval("SELECT to_regclass('charge_correction') IS NOT NULL")
    await writer.close()
    await ledger.database.close()

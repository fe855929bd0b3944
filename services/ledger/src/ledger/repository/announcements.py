from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from kit.database import OUTBOX_WRITTEN
from ledger.repository.driver import driver

Record = tuple[str, bytes | None, bytes | None]


async def insert_announcements(session: AsyncSession, records: Sequence[Record]) -> None:
    """Write to the outbox as `kit.outbox.add_records` does, but by COPY: a batch announces one event per account."""
    if not records:
        return
    async with driver(session) as connection:
        await connection.copy_records_to_table("outbox", columns=("topic", "key", "value"), records=records)
    session.info[OUTBOX_WRITTEN] = True

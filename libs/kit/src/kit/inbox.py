"""Each event is applied once per consumer, however often it is delivered."""

from typing import Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.tables import inbox_table


async def claim(
    session: AsyncSession, group: str, event_id: UUID, *, digest: bytes
) -> Literal["new", "repeated", "conflict"]:
    """Claim an event in this transaction: `conflict` is the same id with other content, an alarm."""
    inserted = await session.execute(
        insert(inbox_table)
        .values(consumer=group, id=event_id, digest=digest)
        .on_conflict_do_nothing()
        .returning(inbox_table.c.id)
    )
    if inserted.first() is not None:
        return "new"
    known = await session.scalar(
        select(inbox_table.c.digest).where(inbox_table.c.consumer == group, inbox_table.c.id == event_id)
    )
    return "repeated" if known == digest else "conflict"

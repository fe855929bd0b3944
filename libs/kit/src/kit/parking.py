"""Events that name something which is not here yet wait for it (money.md 24)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.database import PARKED_RELEASED
from kit.ids import fact_id
from kit.received import Received, StoredRecord
from kit.tables import parked_table


async def park(session: AsyncSession, group: str, waiting: Sequence[tuple[Received[Any], str]]) -> None:
    """Keep events with the referent that each waits for; parking one again only renames what it waits for."""
    if not waiting:
        return
    rows = [
        {
            "consumer": group,
            "id": _place_id(received),
            "referent": referent,
            "topic": received.record.topic,
            "partition": received.record.partition,
            "record_offset": received.record.offset,
            "key": received.record.key,
            "value": received.record.value,
        }
        for received, referent in waiting
    ]
    statement = insert(parked_table)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["consumer", "id"], set_={"referent": statement.excluded.referent, "released": 0}
        ),
        rows,
    )


def _place_id(received: Received[Any]) -> UUID:
    """One row per record: two records may share an event's id and differ, as a call's `orphaned` and its real end."""
    record = received.record
    return fact_id(received.event.id, record.topic, record.partition, record.offset)


async def release(session: AsyncSession, *referents: str) -> None:
    """What these events waited for is here: they are applied after this transaction commits."""
    released = await session.execute(
        update(parked_table)
        .where(parked_table.c.referent.in_(referents))
        .values(released=1)
        .returning(parked_table.c.id)
    )
    if released.first() is not None:
        session.info[PARKED_RELEASED] = True


async def release_all(session: AsyncSession, group: str) -> None:
    """Try every parked event of a group again."""
    await session.execute(update(parked_table).where(parked_table.c.consumer == group).values(released=1))


async def list_released(session: AsyncSession, group: str, *, limit: int) -> list[StoredRecord]:
    """Released events, oldest first, locked against a second retrier."""
    rows = await session.execute(
        select(parked_table)
        .where(parked_table.c.consumer == group, parked_table.c.released == 1)
        .order_by(parked_table.c.parked_at, parked_table.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [StoredRecord(row.topic, row.partition, row.record_offset, row.key, row.value) for row in rows]


async def remove(session: AsyncSession, group: str, records: Sequence[StoredRecord]) -> None:
    """Forget parked records that were applied or set aside; ones that were parked again stay."""
    places = [(record.topic, record.partition, record.offset) for record in records]
    await session.execute(
        delete(parked_table).where(
            parked_table.c.consumer == group,
            parked_table.c.released == 1,
            tuple_(parked_table.c.topic, parked_table.c.partition, parked_table.c.record_offset).in_(places),
        )
    )


async def census(session: AsyncSession, group: str) -> tuple[int, datetime | None]:
    """How many events are parked, and since when the oldest one is."""
    row = (
        await session.execute(
            select(func.count(), func.min(parked_table.c.parked_at)).where(parked_table.c.consumer == group)
        )
    ).one()
    return int(row[0]), row[1]

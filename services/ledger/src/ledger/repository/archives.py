"""Usage detail that leaves the database: its partitions, and where they went."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Column, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from ledger import tables
from ledger.domain.archiving import REST, Archive, ArchiveState, Content, Part
from ledger.repository.driver import driver

# The whole of a month is read, whatever time that takes.
_PATIENCE_S: Final = 4 * 3600.0
_PREFETCH: Final = 5_000

_PARTITIONS: Final = """
SELECT child.relname AS name, pg_get_expr(child.relpartbound, child.oid) AS bounds
FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = 'usage_detail'::regclass AND child.relname ~ '^usage_detail_[0-9]{4}_[0-9]{2}$'
ORDER BY child.relname
"""


def detail_columns() -> list[Column[Any]]:
    """The columns of usage detail, in the table's order."""
    return list(tables.usage_detail.columns)


async def list_parts(session: AsyncSession) -> list[Part]:
    """The monthly partitions, oldest first."""
    parts = []
    for row in await session.execute(text(_PARTITIONS)):
        _, first, _, end, _ = row.bounds.split("'")
        parts.append(Part(name=row.name, relation=row.name, first_id=UUID(first), end_id=UUID(end)))
    return parts


async def floor_of(session: AsyncSession, instant: datetime) -> UUID:
    """The lowest call id of a millisecond."""
    found: UUID = await session.scalar(text("SELECT uuid7_floor(:at)"), {"at": instant})
    return found


async def find_rest(session: AsyncSession, *, end_id: UUID) -> Part | None:
    """What came for months whose partitions are gone; it stands in the default partition."""
    query = text(f"SELECT id FROM {REST} WHERE id < :end ORDER BY id LIMIT 1")  # noqa: S608  # our own table's name
    first = await session.scalar(query, {"end": end_id})
    if first is None:
        return None
    number = await session.scalar(
        text("SELECT count(*) + 1 FROM archive_manifest WHERE name ~ :names AND state = 'dropped'"),
        {"names": f"^{REST}_[0-9]+$"},
    )
    return Part(name=f"{REST}_{number}", relation=REST, first_id=first, end_id=end_id)


async def read_content(session: AsyncSession, part: Part) -> Content:
    """How many rows a part has, and a sum over what they say that is independent of their order."""
    async with driver(session) as connection:
        row = await connection.fetchrow(
            f"""
            SELECT count(*), coalesce(sum(hashtextextended(d::text, 0)::numeric), 0) FROM {part.relation} AS d
            WHERE id >= $1 AND id < $2
            """,  # noqa: S608  # a name from the catalogue
            part.first_id,
            part.end_id,
            timeout=_PATIENCE_S,
        )
    return Content(int(row[0]), int(row[1]))


@asynccontextmanager
async def reading_rows(session: AsyncSession, part: Part) -> AsyncIterator[AsyncIterator[Any]]:
    """The rows of a part in the order of their keys, a few at a time."""
    names = ", ".join(column.name for column in tables.usage_detail.columns)
    query = f"SELECT {names} FROM {part.relation} WHERE id >= $1 AND id < $2 ORDER BY account_id, id"  # noqa: S608
    async with driver(session) as connection:
        yield connection.cursor(query, part.first_id, part.end_id, prefetch=_PREFETCH, timeout=_PATIENCE_S)


async def drop_part(session: AsyncSession, part: Part, archive: Archive, *, now: datetime) -> bool:
    """Let go of a part whose archive holds exactly what stands in it; False when more has come since.

    The lock keeps writers of this part out for the moment of the comparison; readers go on.
    """
    await session.execute(text("SET LOCAL lock_timeout = '5s'"))
    await session.execute(text(f"LOCK TABLE {part.relation} IN SHARE ROW EXCLUSIVE MODE"))
    if await read_content(session, part) != archive.content:
        return False
    if part.relation == REST:
        query = text(f"DELETE FROM {REST} WHERE id >= :first AND id < :end")  # noqa: S608
        await session.execute(query, {"first": part.first_id, "end": part.end_id})
    else:
        await session.execute(text(f"DROP TABLE {part.relation}"))
    columns = tables.archive_manifest.c
    await session.execute(
        tables.archive_manifest.update().where(columns.name == part.name).values(state="dropped", dropped_at=now)
    )
    return True


async def save_archive(session: AsyncSession, archive: Archive) -> None:
    """A part that was exported anew replaces what was noted of it, unless it is gone already."""
    values: dict[str, Any] = {field.name: getattr(archive, field.name) for field in fields(archive)}
    content: Content = values.pop("content")
    values["bytes"] = values.pop("size_bytes")
    values |= {"row_count": content.rows, "content_sum": Decimal(content.sum), "state": archive.state.value}
    statement = insert(tables.archive_manifest).values(**values)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["name"], set_=values, where=tables.archive_manifest.c.state != ArchiveState.DROPPED
        )
    )


async def find_archive_of_part(session: AsyncSession, name: str) -> Archive | None:
    columns = tables.archive_manifest.c
    row = (await session.execute(select(tables.archive_manifest).where(columns.name == name))).one_or_none()
    return _archive(row) if row else None


async def find_archives(session: AsyncSession, call_id: UUID) -> list[Archive]:
    """The files that may hold a call's detail: its month's, and those of what came later for it."""
    columns = tables.archive_manifest.c
    rows = await session.execute(
        select(tables.archive_manifest)
        .where(columns.first_id <= call_id, columns.end_id > call_id, columns.state == ArchiveState.DROPPED)
        .order_by(columns.name)
    )
    return [_archive(row) for row in rows]


def _archive(row: Any) -> Archive:
    return Archive(
        name=row.name,
        first_id=row.first_id,
        end_id=row.end_id,
        state=ArchiveState(row.state),
        file=row.file,
        size_bytes=row.bytes,
        sha256=bytes(row.sha256),
        content=Content(row.row_count, int(row.content_sum)),
        archived_at=row.archived_at.astimezone(UTC),
        dropped_at=row.dropped_at,
    )

"""The audit log: rows are added and read, never changed."""

from dataclasses import asdict
from typing import Final
from uuid import UUID

from sqlalchemy import insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.audit import AuditEntry, AuditFilter
from auth.repository.rows import columns, listed, table
from auth.tables import AuditRow

_WRITTEN: Final = insert(table(AuditRow))


async def insert_entry(session: AsyncSession, entry: AuditEntry) -> None:
    await session.execute(_WRITTEN, asdict(entry))


async def list_entries(
    session: AsyncSession, wanted: AuditFilter, *, before: UUID | None, limit: int
) -> list[AuditEntry]:
    """Entries, newest first."""
    statement = select(*columns(AuditRow, AuditEntry))
    if wanted.account_id is not None:
        statement = statement.where(AuditRow.account_id == wanted.account_id)
    if wanted.person_id is not None:
        statement = statement.where(or_(AuditRow.actor_id == wanted.person_id, AuditRow.target_id == wanted.person_id))
    if wanted.action is not None:
        statement = statement.where(AuditRow.action == wanted.action)
    if before is not None:
        statement = statement.where(AuditRow.id < before)
    return await listed(session, statement.order_by(AuditRow.id.desc()).limit(limit), AuditEntry)


async def clear_networks(session: AsyncSession, actor_id: UUID) -> None:
    """Take away from where somebody acted; the one change that the table allows."""
    await session.execute(
        update(AuditRow).where(AuditRow.actor_id == actor_id, AuditRow.network.is_not(None)).values(network=None)
    )

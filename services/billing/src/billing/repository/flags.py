"""Flags of the paid paths, and the record of who changed them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.tables import AuditRow, PathFlagRow


async def list_flags(session: AsyncSession, scopes: Sequence[str]) -> Sequence[PathFlagRow]:
    rows = await session.scalars(select(PathFlagRow).where(PathFlagRow.scope.in_(scopes)))
    return rows.all()


async def list_all_flags(session: AsyncSession, *, limit: int) -> Sequence[PathFlagRow]:
    rows = await session.scalars(select(PathFlagRow).order_by(PathFlagRow.scope, PathFlagRow.path).limit(limit))
    return rows.all()


async def save_flag(session: AsyncSession, path: str, *, scope: str, is_open: bool, now: datetime) -> None:
    values = {"is_open": is_open, "changed_at": now}
    await session.execute(
        insert(PathFlagRow)
        .values(path=path, scope=scope, **values)
        .on_conflict_do_update(index_elements=["path", "scope"], set_=values)
    )


async def delete_flag(session: AsyncSession, path: str, *, scope: str) -> None:
    await session.execute(delete(PathFlagRow).where(PathFlagRow.path == path, PathFlagRow.scope == scope))


async def insert_audit(session: AsyncSession, **values: Any) -> None:
    await session.execute(insert(AuditRow).values(**values))


async def list_audit(session: AsyncSession, *, before: UUID | None, limit: int) -> Sequence[AuditRow]:
    """Newest first."""
    query = select(AuditRow)
    if before is not None:
        query = query.where(AuditRow.id < before)
    rows = await session.scalars(query.order_by(AuditRow.id.desc()).limit(limit))
    return rows.all()

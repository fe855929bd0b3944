from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from ledger import tables


async def insert_audit(session: AsyncSession, **values: Any) -> None:
    await session.execute(insert(tables.audit_record).values(**values))


async def list_audit(
    session: AsyncSession, *, account_id: UUID | None, before: UUID | None, limit: int
) -> Sequence[Any]:
    """What people changed, newest first; of all accounts where none is named."""
    columns = tables.audit_record.c
    query = select(tables.audit_record)
    if account_id is not None:
        query = query.where(columns.account_id == account_id)
    if before is not None:
        query = query.where(columns.id < before)
    return (await session.execute(query.order_by(columns.id.desc()).limit(limit))).all()

"""Who froze and thawed accounts."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from ledger import tables


async def insert_hold(session: AsyncSession, **values: Any) -> None:
    """One operator's act with actor and reason."""
    await session.execute(insert(tables.account_hold).values(**values))


async def list_holds(session: AsyncSession, account_id: UUID) -> Sequence[Any]:
    """All of an account's, oldest first."""
    columns = tables.account_hold.c
    # Numbered while the account is locked; the clock's order need not be that of the acts.
    rows = await session.execute(
        select(tables.account_hold).where(columns.account_id == account_id).order_by(columns.n)
    )
    return rows.all()

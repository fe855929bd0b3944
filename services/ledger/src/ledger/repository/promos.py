from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from ledger import tables


async def insert_promo(session: AsyncSession, **values: Any) -> bool:
    """False when the code is taken."""
    table = tables.promo_code
    made = await session.execute(insert(table).values(**values).on_conflict_do_nothing().returning(table.c.id))
    return made.first() is not None


async def find_promo(session: AsyncSession, code: str) -> Any | None:
    rows = await session.execute(select(tables.promo_code).where(tables.promo_code.c.code == code))
    return rows.one_or_none()


async def list_promos(session: AsyncSession, *, before: UUID | None, limit: int) -> Sequence[Any]:
    """Newest first."""
    columns = tables.promo_code.c
    query = select(tables.promo_code)
    if before is not None:
        query = query.where(columns.id < before)
    return (await session.execute(query.order_by(columns.id.desc()).limit(limit))).all()


async def insert_redemption(session: AsyncSession, **values: Any) -> bool:
    """False when the account redeemed the code before."""
    table = tables.promo_redemption
    made = await session.execute(insert(table).values(**values).on_conflict_do_nothing().returning(table.c.account_id))
    return made.first() is not None


async def count_redemption(session: AsyncSession, promo_id: UUID) -> bool:
    """False when as many accounts as may have redeemed the code: of two at once, one gets the last."""
    columns = tables.promo_code.c
    counted = await session.execute(
        update(tables.promo_code)
        .where(columns.id == promo_id, or_(columns.most.is_(None), columns.redeemed < columns.most))
        .values(redeemed=columns.redeemed + 1)
        .returning(columns.id)
    )
    return counted.first() is not None

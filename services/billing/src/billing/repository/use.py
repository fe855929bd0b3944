"""Use that is paid afterwards, hour by hour."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.tables import OwedUseRow, UseCarryRow


async def insert_use(session: AsyncSession, **values: Any) -> bool:
    """False when this hour's row is known."""
    made = await session.execute(
        insert(OwedUseRow).values(**values).on_conflict_do_nothing().returning(OwedUseRow.sequence)
    )
    return made.first() is not None


async def sum_open(session: AsyncSession, account_id: UUID) -> int:
    """What is owed and not part of a payment."""
    total = await session.scalar(
        select(func.coalesce(func.sum(OwedUseRow.amount_nano), 0)).where(
            OwedUseRow.account_id == account_id, OwedUseRow.attempt_id.is_(None)
        )
    )
    return int(total or 0)


async def find_oldest_open(session: AsyncSession, account_id: UUID) -> datetime | None:
    oldest: datetime | None = await session.scalar(
        select(func.min(OwedUseRow.hour)).where(OwedUseRow.account_id == account_id, OwedUseRow.attempt_id.is_(None))
    )
    return oldest


async def find_newest_plan(session: AsyncSession, account_id: UUID) -> tuple[str, int] | None:
    """The plan of the newest hour that is not part of a payment."""
    row = (
        await session.execute(
            select(OwedUseRow.plan_id, OwedUseRow.plan_version)
            .where(OwedUseRow.account_id == account_id, OwedUseRow.attempt_id.is_(None))
            .order_by(OwedUseRow.hour.desc(), OwedUseRow.plan_version.desc())
            .limit(1)
        )
    ).first()
    return (row.plan_id, row.plan_version) if row else None


async def attach_open(session: AsyncSession, account_id: UUID, attempt_id: UUID) -> None:
    await session.execute(
        update(OwedUseRow)
        .where(OwedUseRow.account_id == account_id, OwedUseRow.attempt_id.is_(None))
        .values(attempt_id=attempt_id)
    )


async def release(session: AsyncSession, attempt_id: UUID) -> None:
    """What a payment did not collect is owed as before."""
    await session.execute(update(OwedUseRow).where(OwedUseRow.attempt_id == attempt_id).values(attempt_id=None))


async def sum_of_attempt(session: AsyncSession, attempt_id: UUID) -> int:
    total = await session.scalar(
        select(func.coalesce(func.sum(OwedUseRow.amount_nano), 0)).where(OwedUseRow.attempt_id == attempt_id)
    )
    return int(total or 0)


async def list_of_attempt(session: AsyncSession, attempt_id: UUID) -> Sequence[OwedUseRow]:
    rows = await session.scalars(
        select(OwedUseRow).where(OwedUseRow.attempt_id == attempt_id).order_by(OwedUseRow.hour, OwedUseRow.sequence)
    )
    return rows.all()


async def sum_collected(session: AsyncSession, account_id: UUID, *, since: datetime, attempts: Sequence[UUID]) -> int:
    """What of the use since then is paid, by these payments."""
    total = await session.scalar(
        select(func.coalesce(func.sum(OwedUseRow.amount_nano), 0)).where(
            OwedUseRow.account_id == account_id, OwedUseRow.hour >= since, OwedUseRow.attempt_id.in_(attempts)
        )
    )
    return int(total or 0)


async def find_carry(session: AsyncSession, account_id: UUID) -> int:
    carry = await session.scalar(select(UseCarryRow.carry_nano).where(UseCarryRow.account_id == account_id))
    return int(carry or 0)


async def save_carry(session: AsyncSession, account_id: UUID, carry_nano: int) -> None:
    await session.execute(
        insert(UseCarryRow)
        .values(account_id=account_id, carry_nano=carry_nano)
        .on_conflict_do_update(index_elements=["account_id"], set_={"carry_nano": carry_nano})
    )

"""Keys that sign tokens."""

from dataclasses import asdict
from datetime import datetime
from typing import Final

from sqlalchemy import delete, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.access import SigningKey
from auth.repository.rows import columns, listed
from auth.tables import SigningKeyRow

_KEYS_LOCK: Final = 7_302


async def lock_signing_keys(session: AsyncSession) -> None:
    """Only one at a time makes or retires keys."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _KEYS_LOCK})


async def list_signing_keys(session: AsyncSession, *, now: datetime) -> list[SigningKey]:
    """Keys that are not retired yet, oldest first."""
    statement = select(*columns(SigningKeyRow, SigningKey)).where(
        or_(SigningKeyRow.retires_at.is_(None), SigningKeyRow.retires_at > now)
    )
    return await listed(session, statement.order_by(SigningKeyRow.signs_from), SigningKey)


async def insert_signing_key(session: AsyncSession, key: SigningKey) -> None:
    await session.execute(insert(SigningKeyRow).values(asdict(key)))


async def update_retiring(session: AsyncSession, *, except_id: str, retires_at: datetime) -> None:
    """Every other key goes once the new one signs."""
    await session.execute(
        update(SigningKeyRow)
        .where(SigningKeyRow.id != except_id, SigningKeyRow.retires_at.is_(None))
        .values(retires_at=retires_at)
    )


async def delete_retired(session: AsyncSession, *, now: datetime) -> None:
    """Private keys that sign nothing any more are best not kept, sealed or not."""
    await session.execute(delete(SigningKeyRow).where(SigningKeyRow.retires_at <= now))

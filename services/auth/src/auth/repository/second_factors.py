"""Secrets that make codes, and recovery codes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.second_factors import Totp
from auth.repository.rows import columns, find, values
from auth.tables import RecoveryCodeRow, TotpRow


async def find_totp(session: AsyncSession, user_id: UUID) -> Totp | None:
    return await find(session, _TOTP, Totp, {"of_user": user_id})


_TOTP: Final = select(*columns(TotpRow, Totp)).where(TotpRow.user_id == bindparam("of_user"))


async def insert_totp(session: AsyncSession, totp: Totp) -> bool:
    """Start setting up; an unconfirmed one is replaced. False when one is confirmed."""
    given = values(totp)
    statement = (
        insert(TotpRow)
        .values(given)
        .on_conflict_do_update(index_elements=["user_id"], set_=given, where=TotpRow.confirmed_at.is_(None))
        .returning(TotpRow.user_id)
    )
    return (await session.execute(statement)).first() is not None


async def update_used_step(session: AsyncSession, user_id: UUID, *, step: int) -> bool:
    """Use a code up, atomically; False when it was used meanwhile."""
    statement = (
        update(TotpRow)
        .where(TotpRow.user_id == user_id, TotpRow.last_step < step)
        .values(last_step=step)
        .returning(TotpRow.user_id)
    )
    return (await session.execute(statement)).first() is not None


async def update_confirmed(session: AsyncSession, user_id: UUID, *, now: datetime) -> None:
    await session.execute(update(TotpRow).where(TotpRow.user_id == user_id).values(confirmed_at=now))


async def replace_recovery_codes(
    session: AsyncSession, user_id: UUID, code_hashes: Sequence[bytes], *, now: datetime
) -> None:
    await session.execute(delete(RecoveryCodeRow).where(RecoveryCodeRow.user_id == user_id))
    rows = [{"code_hash": one, "user_id": user_id, "created_at": now} for one in code_hashes]
    await session.execute(insert(RecoveryCodeRow), rows)


async def use_recovery_code(session: AsyncSession, user_id: UUID, code_hash: bytes, *, now: datetime) -> bool:
    """Use a code up, atomically; False when it is unknown or was used before."""
    statement = (
        update(RecoveryCodeRow)
        .where(
            RecoveryCodeRow.code_hash == code_hash,
            RecoveryCodeRow.user_id == user_id,
            RecoveryCodeRow.used_at.is_(None),
        )
        .values(used_at=now)
        .returning(RecoveryCodeRow.user_id)
    )
    return (await session.execute(statement)).first() is not None


async def delete_second_factor(session: AsyncSession, user_id: UUID) -> bool:
    """Whether there was a confirmed one."""
    await session.execute(delete(RecoveryCodeRow).where(RecoveryCodeRow.user_id == user_id))
    statement = delete(TotpRow).where(TotpRow.user_id == user_id).returning(TotpRow.confirmed_at)
    return await session.scalar(statement) is not None

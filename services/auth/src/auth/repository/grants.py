"""Codes on their way to tokens, and session keys."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.access import Session
from auth.domain.grants import AuthorizationCode, DeviceCode
from auth.repository.rows import columns, find, values
from auth.tables import AuthorizationCodeRow, DeviceCodeRow, SessionKeyRow, SessionRow


async def insert_code(session: AsyncSession, code: AuthorizationCode) -> None:
    await session.execute(insert(AuthorizationCodeRow).values(values(code)))


async def lock_code(session: AsyncSession, code_hash: bytes) -> AuthorizationCode | None:
    """The code, also a used one, locked: of two uses at once the second one sees the first."""
    statement = select(*columns(AuthorizationCodeRow, AuthorizationCode))
    statement = statement.where(AuthorizationCodeRow.code_hash == code_hash).with_for_update()
    return await find(session, statement, AuthorizationCode)


async def update_code_used(session: AsyncSession, code_hash: bytes, *, session_id: UUID, now: datetime) -> None:
    statement = update(AuthorizationCodeRow).where(AuthorizationCodeRow.code_hash == code_hash)
    await session.execute(statement.values(used_at=now, session_id=session_id))


async def insert_device(session: AsyncSession, device: DeviceCode) -> bool:
    """False when somebody has this user code."""
    statement = postgresql.insert(DeviceCodeRow).values(values(device)).on_conflict_do_nothing()
    return (await session.execute(statement.returning(DeviceCodeRow.user_code))).first() is not None


async def lock_device(session: AsyncSession, code_hash: bytes) -> DeviceCode | None:
    statement = select(*columns(DeviceCodeRow, DeviceCode)).where(DeviceCodeRow.code_hash == code_hash)
    return await find(session, statement.with_for_update(), DeviceCode)


async def find_waiting(
    session: AsyncSession, user_code: str, *, now: datetime, lock: bool = False
) -> DeviceCode | None:
    """The program that waits under this code."""
    statement = select(*columns(DeviceCodeRow, DeviceCode)).where(
        DeviceCodeRow.user_code == user_code, DeviceCodeRow.state == "waiting", DeviceCodeRow.expires_at > now
    )
    return await find(session, statement.with_for_update() if lock else statement, DeviceCode)


async def update_device(session: AsyncSession, code_hash: bytes, **changed: object) -> None:
    await session.execute(update(DeviceCodeRow).where(DeviceCodeRow.code_hash == code_hash).values(**changed))


async def insert_session_key(session: AsyncSession, key_sha256: str, *, session_id: UUID) -> None:
    await session.execute(insert(SessionKeyRow).values(key_sha256=key_sha256, session_id=session_id))


async def lock_by_session_key(session: AsyncSession, key_sha256: str) -> Session | None:
    """The session of a key, whether it has ended or not."""
    owner = select(SessionKeyRow.session_id).where(SessionKeyRow.key_sha256 == key_sha256).scalar_subquery()
    statement = select(*columns(SessionRow, Session)).where(SessionRow.id == owner)
    return await find(session, statement.with_for_update(), Session)


async def delete_codes_of(session: AsyncSession, user_id: UUID) -> None:
    for row in (AuthorizationCodeRow, DeviceCodeRow):
        await session.execute(delete(row).where(row.user_id == user_id))


async def delete_old_codes(session: AsyncSession, *, now: datetime, keep: timedelta) -> None:
    for row in (AuthorizationCodeRow, DeviceCodeRow):
        await session.execute(delete(row).where(row.expires_at < now - keep))

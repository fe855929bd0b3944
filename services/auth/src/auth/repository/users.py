"""Users and their passwords."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.people import User, UserStanding
from auth.errors import UnknownUserError
from auth.repository.rows import columns, find, listed
from auth.tables import CredentialRow, UserRow


async def insert_user(session: AsyncSession, user: User) -> bool:
    """False when the address is taken; waits for a registration of the same address that is under way."""
    statement = insert(UserRow).values(asdict(user)).on_conflict_do_nothing(index_elements=["address_normal"])
    return (await session.execute(statement.returning(UserRow.id))).first() is not None


async def get_user(session: AsyncSession, user_id: UUID) -> User:
    user = await find(session, select(*columns(UserRow, User)).where(UserRow.id == user_id), User)
    if user is None:
        raise UnknownUserError("There is no such user.")
    return user


async def find_user_by_address(session: AsyncSession, address_normal: str) -> User | None:
    return await find(session, select(*columns(UserRow, User)).where(UserRow.address_normal == address_normal), User)


async def list_operators(session: AsyncSession) -> list[User]:
    return await listed(session, select(*columns(UserRow, User)).where(UserRow.operator).order_by(UserRow.id), User)


async def list_standings(session: AsyncSession, ids: Sequence[UUID]) -> list[UserStanding]:
    statement = select(*columns(UserRow, UserStanding)).where(UserRow.id.in_(ids))
    return await listed(session, statement, UserStanding)


async def update_operator(session: AsyncSession, user_id: UUID, *, operator: bool) -> User | None:
    """The new row, or None when nothing changed."""
    return await _update(session, UserRow.operator != operator, user_id=user_id, operator=operator)


async def update_verified(session: AsyncSession, user_id: UUID, *, verified_at: datetime) -> None:
    """Mark the address as the user's own; the first time stays. Not part of `user-changed`, so no new version."""
    await session.execute(
        update(UserRow).where(UserRow.id == user_id).values(verified_at=func.coalesce(UserRow.verified_at, verified_at))
    )


async def _update(session: AsyncSession, condition: Any, *, user_id: UUID, **values: object) -> User | None:
    statement = update(UserRow).where(UserRow.id == user_id, condition).values(version=UserRow.version + 1, **values)
    return await find(session, statement.returning(*columns(UserRow, User)), User)


async def find_password_hash(session: AsyncSession, user_id: UUID) -> str | None:
    found: str | None = await session.scalar(
        select(CredentialRow.password_hash).where(CredentialRow.user_id == user_id)
    )
    return found


async def upsert_password(session: AsyncSession, user_id: UUID, *, password_hash: str, now: datetime) -> None:
    values = {"password_hash": password_hash, "changed_at": now}
    statement = insert(CredentialRow).values(user_id=user_id, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=["user_id"], set_=values))


async def replace_password_hash(session: AsyncSession, user_id: UUID, *, old: str, new: str) -> None:
    """Keep the same password under newer parameters, unless it was changed meanwhile."""
    await session.execute(
        update(CredentialRow)
        .where(CredentialRow.user_id == user_id, CredentialRow.password_hash == old)
        .values(password_hash=new)
    )

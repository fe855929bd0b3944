"""Users and their passwords."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
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


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a sign-in is judged by."""

    user_id: UUID
    address_normal: str
    state: str
    password_hash: str | None


async def find_credentials(
    session: AsyncSession, *, address_normal: str | None = None, user_id: UUID | None = None
) -> Credentials | None:
    """In one query, so that an unknown address takes no shorter than a known one."""
    if user_id is not None:
        return await find(session, _CREDENTIALS.where(UserRow.id == user_id), Credentials)
    return await find(session, _CREDENTIALS_BY_ADDRESS, Credentials, {"normal": address_normal})


_CREDENTIALS: Final = (
    select(UserRow.id.label("user_id"), UserRow.address_normal, UserRow.state, CredentialRow.password_hash)
    .select_from(UserRow)
    .join(CredentialRow, CredentialRow.user_id == UserRow.id, isouter=True)
)
_CREDENTIALS_BY_ADDRESS: Final = _CREDENTIALS.where(UserRow.address_normal == bindparam("normal"))


async def lock_user(session: AsyncSession, user_id: UUID) -> User:
    user = await find(session, select(*columns(UserRow, User)).where(UserRow.id == user_id).with_for_update(), User)
    if user is None:
        raise UnknownUserError("There is no such user.")
    return user


async def list_operators(session: AsyncSession) -> list[User]:
    return await listed(session, select(*columns(UserRow, User)).where(UserRow.operator).order_by(UserRow.id), User)


async def list_users(session: AsyncSession, *, before: UUID | None, limit: int) -> list[User]:
    """All users, newest first."""
    statement = select(*columns(UserRow, User))
    if before is not None:
        statement = statement.where(UserRow.id < before)
    return await listed(session, statement.order_by(UserRow.id.desc()).limit(limit), User)


async def update_state(session: AsyncSession, user_id: UUID, *, state: str) -> User | None:
    """The new row, or None when nothing changed."""
    return await _update(session, UserRow.state != state, user_id=user_id, state=state)


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


async def update_address(
    session: AsyncSession, user_id: UUID, *, address: str, address_normal: str, now: datetime
) -> bool:
    """Give the user another address, confirmed; False when somebody else has it."""
    statement = update(UserRow).where(UserRow.id == user_id)
    try:
        async with session.begin_nested():
            await session.execute(statement.values(address=address, address_normal=address_normal, verified_at=now))
    except IntegrityError:
        return False
    return True


async def update_deletion_due(session: AsyncSession, user_id: UUID, *, due_at: datetime | None) -> None:
    await session.execute(update(UserRow).where(UserRow.id == user_id).values(deletion_due_at=due_at))


async def lock_due_for_deletion(session: AsyncSession, *, now: datetime) -> User | None:
    """One user whose grace period is over; another process takes another one."""
    due = select(*columns(UserRow, User)).where(UserRow.deletion_due_at <= now, UserRow.state != "deleted")
    return await find(session, due.order_by(UserRow.id).limit(1).with_for_update(skip_locked=True), User)


async def update_erased(session: AsyncSession, user_id: UUID) -> User:
    """Nothing stays of a person but the id that the books know."""
    address = f"{user_id.hex}@erased.invalid"
    await session.execute(delete(CredentialRow).where(CredentialRow.user_id == user_id))
    erased = await _update(
        session,
        UserRow.state != "deleted",
        user_id=user_id,
        address=address,
        address_normal=address,
        locale=None,
        state="deleted",
        operator=False,
        verified_at=None,
        deletion_due_at=None,
    )
    assert erased is not None
    return erased


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

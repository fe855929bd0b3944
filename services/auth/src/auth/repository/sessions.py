"""Sessions and the refresh tokens of each."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import DateTime, LargeBinary, String, and_, bindparam, delete, func, insert, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.access import Access, RefreshToken, Session
from auth.repository.accounts import access_of, made_access
from auth.repository.rows import columns, find, listed, made, plain_columns, table
from auth.tables import RefreshTokenRow, SessionRow

# Refreshing is what auth does most: what it asks is built once.
_TOKENS: Final = RefreshTokenRow.__table__
_FAMILY: Final = select(_TOKENS.c.session_id).where(_TOKENS.c.token_hash == bindparam("shown")).scalar_subquery()
_LOCKED: Final = (
    select(*plain_columns(SessionRow, Session)).where(SessionRow.__table__.c.id == _FAMILY).with_for_update()
)
_BY: Final = bindparam("by", type_=LargeBinary)
_AT: Final = bindparam("at", type_=DateTime(timezone=True))
_UNTIL: Final = bindparam("until", type_=DateTime(timezone=True))
_SHOWN: Final = select(*plain_columns(RefreshTokenRow, RefreshToken)).where(_TOKENS.c.token_hash == bindparam("shown"))


def _rotated() -> Any:
    """Use a token up, keep its successor, carry the session on, and read what a token may say: in one round trip.

    Whoever uses the same token at the same time waits for its row and then finds it used.
    """
    running = (SessionRow.revoked_at.is_(None), SessionRow.expires_at > _AT)
    used = (
        update(RefreshTokenRow)
        .where(
            RefreshTokenRow.token_hash == bindparam("shown"),
            RefreshTokenRow.used_at.is_(None),
            RefreshTokenRow.session_id == SessionRow.id,
            SessionRow.client_id.is_not_distinct_from(bindparam("of_client", type_=String)),
            access_of(SessionRow.user_id, SessionRow.account_id).correlate(SessionRow).exists(),
            *running,
        )
        .values(used_at=_AT)
        .returning(RefreshTokenRow.session_id)
        .cte("used")
    )
    names = ["token_hash", "session_id", "issued_at"]
    kept = insert(RefreshTokenRow).from_select(names, select(_BY, used.c.session_id, _AT)).cte("kept")
    # The condition once more, now under the lock of the session: it may have been ended meanwhile.
    seen = (
        update(SessionRow)
        .where(SessionRow.id == used.c.session_id, *running)
        .values(last_seen_at=_AT, access_until=func.greatest(SessionRow.access_until, _UNTIL))
        .returning(*columns(SessionRow, Session))
        .cte("seen")
    )
    access = access_of(seen.c.user_id, seen.c.account_id).lateral("access")
    found = select(*seen.c, *access.c).select_from(seen.join(access, true()))
    return found.add_cte(kept)


_ROTATED: Final = _rotated()
_OPENED: Final = insert(table(SessionRow))
_ISSUED: Final = insert(table(RefreshTokenRow))
_LIKEWISE: Final = and_(SessionRow.device == bindparam("by"), SessionRow.network == bindparam("at"))
_KNOWN_PLACE: Final = select(func.bool_or(_LIKEWISE)).where(
    SessionRow.user_id == bindparam("of_user"), SessionRow.operator_id.is_(None)
)


async def insert_session(session: AsyncSession, signed_in: Session) -> None:
    await session.execute(_OPENED, asdict(signed_in))


async def insert_refresh_token(session: AsyncSession, token_hash: bytes, *, session_id: UUID, now: datetime) -> None:
    await session.execute(_ISSUED, {"token_hash": token_hash, "session_id": session_id, "issued_at": now})


async def lock_by_refresh_token(session: AsyncSession, token_hash: bytes) -> tuple[Session, RefreshToken] | None:
    """The session, locked, and then the token: uses of one family follow each other."""
    given = {"shown": token_hash}
    owner = await find(session, _LOCKED, Session, given)
    if owner is None:
        return None
    token = await find(session, _SHOWN, RefreshToken, given)
    return None if token is None else (owner, token)


async def find_by_refresh_token(session: AsyncSession, token_hash: bytes) -> tuple[Session, RefreshToken] | None:
    """The session and the token, only to be looked at."""
    found = select(*columns(RefreshTokenRow, RefreshToken)).where(RefreshTokenRow.token_hash == token_hash)
    token = await find(session, found, RefreshToken)
    owner = None if token is None else await find_session(session, token.session_id)
    return None if token is None or owner is None else (owner, token)


async def lock_session(session: AsyncSession, session_id: UUID) -> Session | None:
    statement = select(*columns(SessionRow, Session)).where(SessionRow.id == session_id)
    return await find(session, statement.with_for_update(), Session)


async def find_session(session: AsyncSession, session_id: UUID) -> Session | None:
    return await find(session, select(*columns(SessionRow, Session)).where(SessionRow.id == session_id), Session)


async def knows_place(session: AsyncSession, user_id: UUID, *, device: str, network: str) -> bool:
    """Whether the user signed in like this before; a first sign-in is like any other."""
    found: bool | None = await session.scalar(_KNOWN_PLACE, {"of_user": user_id, "by": device, "at": network})
    return found is not False


async def find_running(session: AsyncSession, user_id: UUID, *, device: str, now: datetime) -> UUID | None:
    """The newest session of this device that can still be used."""
    statement = select(SessionRow.id).where(
        SessionRow.user_id == user_id,
        SessionRow.device == device,
        SessionRow.revoked_at.is_(None),
        SessionRow.expires_at > now,
    )
    found: UUID | None = await session.scalar(statement.order_by(SessionRow.id.desc()).limit(1))
    return found


async def clear_places(session: AsyncSession, user_id: UUID) -> None:
    """Forget from where and with what the user signed in."""
    await session.execute(
        update(SessionRow).where(SessionRow.user_id == user_id).values(device="erased", network="erased")
    )


async def rotate(
    session: AsyncSession,
    token_hash: bytes,
    *,
    by: bytes,
    client_id: str | None,
    now: datetime,
    access_until: datetime,
) -> tuple[Session, Access] | None:
    """The session, and what its tokens may say, if the token was good and not used before; its successor is `by`."""
    given = {"shown": token_hash, "by": by, "of_client": client_id, "at": now, "until": access_until}
    row = (await session.execute(_ROTATED, given)).one_or_none()
    if row is None:
        return None
    owner = made(Session, row)
    return owner, made_access(row, user_id=owner.user_id, account_id=owner.account_id)


async def replace_token(
    session: AsyncSession, token_hash: bytes, *, by: bytes, session_id: UUID, now: datetime
) -> None:
    """The same in two steps, for a session that the caller has locked."""
    used = update(RefreshTokenRow).where(RefreshTokenRow.token_hash == token_hash).values(used_at=now)
    await session.execute(used)
    await insert_refresh_token(session, by, session_id=session_id, now=now)


async def update_session_account(
    session: AsyncSession, session_id: UUID, *, account_id: UUID, now: datetime, access_until: datetime
) -> None:
    until = func.greatest(SessionRow.access_until, access_until)
    await session.execute(
        update(SessionRow)
        .where(SessionRow.id == session_id)
        .values(account_id=account_id, last_seen_at=now, access_until=until)
    )


async def lock_sessions(
    session: AsyncSession,
    user_id: UUID,
    *,
    session_id: UUID | None = None,
    but: UUID | None = None,
    client_id: str | None = None,
) -> Sequence[Session]:
    """The user's sessions that have not ended, one of them, all but one, or a program's, locked in order of id."""
    statement = select(*columns(SessionRow, Session)).where(
        SessionRow.user_id == user_id, SessionRow.revoked_at.is_(None)
    )
    if session_id is not None:
        statement = statement.where(SessionRow.id == session_id)
    if but is not None:
        statement = statement.where(SessionRow.id != but)
    if client_id is not None:
        statement = statement.where(SessionRow.client_id == client_id)
    return await listed(session, statement.order_by(SessionRow.id).with_for_update(), Session)


async def update_revoked(session: AsyncSession, session_ids: Sequence[UUID], *, now: datetime, reason: str) -> None:
    await session.execute(
        update(SessionRow).where(SessionRow.id.in_(session_ids)).values(revoked_at=now, revoked_reason=reason)
    )


async def list_sessions(
    session: AsyncSession, user_id: UUID, *, now: datetime, before: UUID | None, limit: int
) -> list[Session]:
    """Sessions that can still be used, newest first."""
    statement = select(*columns(SessionRow, Session)).where(
        SessionRow.user_id == user_id, SessionRow.revoked_at.is_(None), SessionRow.expires_at > now
    )
    if before is not None:
        statement = statement.where(SessionRow.id < before)
    return await listed(session, statement.order_by(SessionRow.id.desc()).limit(limit), Session)


async def list_running(session: AsyncSession, ids: Sequence[UUID]) -> list[UUID]:
    """Which of these sessions have not been ended."""
    statement = select(SessionRow.id).where(SessionRow.id.in_(ids), SessionRow.revoked_at.is_(None))
    return list(await session.scalars(statement))


async def delete_long_over(session: AsyncSession, *, now: datetime, keep: timedelta) -> list[UUID]:
    """Forget sessions whose last token died `keep` ago; returns those that had been revoked."""
    over = select(SessionRow.id).where(
        SessionRow.access_until < now - keep,
        or_(SessionRow.revoked_at.is_not(None), SessionRow.expires_at < now - keep),
    )
    rows = await session.execute(
        delete(SessionRow).where(SessionRow.id.in_(over.limit(1000))).returning(SessionRow.id, SessionRow.revoked_at)
    )
    return [row.id for row in rows if row.revoked_at is not None]

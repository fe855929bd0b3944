"""Passkeys, and secrets that are answered once."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.passkeys import Passkey
from auth.repository.rows import columns, find, listed, values
from auth.tables import BrowserRequestRow, ChallengeRow, PasskeyRow


async def insert_passkey(session: AsyncSession, passkey: Passkey) -> bool:
    """False when this credential is registered already, whoever has it."""
    given = {**values(passkey), "transports": list(passkey.transports)}
    statement = insert(PasskeyRow).values(given).on_conflict_do_nothing(index_elements=["credential_id"])
    return (await session.execute(statement.returning(PasskeyRow.id))).first() is not None


async def list_passkeys(session: AsyncSession, user_id: UUID) -> list[Passkey]:
    statement = select(*columns(PasskeyRow, Passkey)).where(PasskeyRow.user_id == user_id)
    return await listed(session, statement.order_by(PasskeyRow.id), Passkey)


async def lock_by_credential(session: AsyncSession, credential_id: bytes) -> Passkey | None:
    """Locked, so that two uses of one sign count follow each other."""
    statement = select(*columns(PasskeyRow, Passkey)).where(PasskeyRow.credential_id == credential_id)
    return await find(session, statement.with_for_update(), Passkey)


async def update_passkey_used(
    session: AsyncSession, passkey_id: UUID, *, sign_count: int, backed_up: bool, now: datetime
) -> None:
    changed = {"sign_count": sign_count, "backed_up": backed_up, "last_used_at": now}
    await session.execute(update(PasskeyRow).where(PasskeyRow.id == passkey_id).values(changed))


async def update_passkey_name(session: AsyncSession, user_id: UUID, passkey_id: UUID, *, name: str) -> Passkey | None:
    statement = update(PasskeyRow).where(PasskeyRow.id == passkey_id, PasskeyRow.user_id == user_id)
    return await find(session, statement.values(name=name).returning(*columns(PasskeyRow, Passkey)), Passkey)


async def delete_passkey(session: AsyncSession, user_id: UUID, passkey_id: UUID) -> bool:
    statement = delete(PasskeyRow).where(PasskeyRow.id == passkey_id, PasskeyRow.user_id == user_id)
    return (await session.execute(statement.returning(PasskeyRow.id))).first() is not None


async def delete_passkeys(session: AsyncSession, user_id: UUID) -> None:
    await session.execute(delete(PasskeyRow).where(PasskeyRow.user_id == user_id))


async def insert_challenge(
    session: AsyncSession, challenge_hash: bytes, *, purpose: str, user_id: UUID | None, expires_at: datetime
) -> bool:
    """False when it is there already."""
    statement = insert(ChallengeRow).values(
        hash=challenge_hash, purpose=purpose, user_id=user_id, expires_at=expires_at
    )
    made = statement.on_conflict_do_nothing().returning(ChallengeRow.hash)
    return (await session.execute(made)).first() is not None


async def use_challenge(
    session: AsyncSession, challenge_hash: bytes, *, purpose: str, user_id: UUID | None, now: datetime
) -> bool:
    """Use it up, atomically; False when it is unknown, used, too old, or for something or somebody else."""
    statement = delete(ChallengeRow).where(
        ChallengeRow.hash == challenge_hash,
        ChallengeRow.purpose == purpose,
        ChallengeRow.user_id.is_not_distinct_from(user_id),
        ChallengeRow.expires_at > now,
    )
    return (await session.execute(statement.returning(ChallengeRow.hash))).first() is not None


async def insert_browser_request(
    session: AsyncSession, request_id: UUID, *, browser_hash: bytes, expires_at: datetime
) -> None:
    await session.execute(
        insert(BrowserRequestRow).values(id=request_id, browser_hash=browser_hash, expires_at=expires_at)
    )


async def find_browser_hash(session: AsyncSession, request_id: UUID, *, now: datetime) -> bytes | None:
    found: bytes | None = await session.scalar(
        select(BrowserRequestRow.browser_hash).where(
            BrowserRequestRow.id == request_id, BrowserRequestRow.expires_at > now
        )
    )
    return found


async def delete_expired(session: AsyncSession, *, now: datetime) -> None:
    for row in _EXPIRING:
        await session.execute(delete(row).where(row.expires_at < now))


_EXPIRING: Sequence[type[ChallengeRow] | type[BrowserRequestRow]] = (ChallengeRow, BrowserRequestRow)

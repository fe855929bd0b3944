"""Users as outside issuers know them, and what those issuers call our accounts and projects."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.outside import Identity
from auth.repository.rows import columns, find, listed, values
from auth.tables import CredentialRow, IdentityRow, OutsideAccountRow, OutsideProjectRow, PasskeyRow


async def insert_identity(session: AsyncSession, identity: Identity) -> bool:
    """False when this issuer's subject belongs to somebody already; waits for a first sign-in under way."""
    statement = insert(IdentityRow).values(values(identity)).on_conflict_do_nothing(constraint=_UNIQUE)
    return (await session.execute(statement.returning(IdentityRow.id))).first() is not None


_UNIQUE = "uq_identities_issuer_subject"


async def find_identity(session: AsyncSession, *, issuer: str, subject: str) -> Identity | None:
    statement = select(*columns(IdentityRow, Identity)).where(
        IdentityRow.issuer == issuer, IdentityRow.subject == subject
    )
    return await find(session, statement, Identity)


async def list_identities(session: AsyncSession, user_id: UUID) -> list[Identity]:
    statement = select(*columns(IdentityRow, Identity)).where(IdentityRow.user_id == user_id)
    return await listed(session, statement.order_by(IdentityRow.id), Identity)


async def update_used(session: AsyncSession, identity_id: UUID, *, now: datetime) -> None:
    await session.execute(update(IdentityRow).where(IdentityRow.id == identity_id).values(last_used_at=now))


async def delete_identity(session: AsyncSession, user_id: UUID, identity_id: UUID) -> bool:
    statement = delete(IdentityRow).where(IdentityRow.id == identity_id, IdentityRow.user_id == user_id)
    return (await session.execute(statement.returning(IdentityRow.id))).first() is not None


async def delete_identities(session: AsyncSession, user_id: UUID) -> None:
    await session.execute(delete(IdentityRow).where(IdentityRow.user_id == user_id))


async def count_ways_in(session: AsyncSession, user_id: UUID) -> int:
    """How many ways the user has to sign in: a password, passkeys, identities."""
    counts = [
        select(func.count()).select_from(row).where(row.user_id == user_id).scalar_subquery()
        for row in (CredentialRow, IdentityRow, PasskeyRow)
    ]
    return await session.scalar(select(counts[0] + counts[1] + counts[2])) or 0


async def find_account(session: AsyncSession, *, issuer: str, outside_id: str) -> UUID | None:
    found: UUID | None = await session.scalar(
        select(OutsideAccountRow.account_id).where(
            OutsideAccountRow.issuer == issuer, OutsideAccountRow.outside_id == outside_id
        )
    )
    return found


async def insert_account(
    session: AsyncSession, *, issuer: str, outside_id: str, account_id: UUID, now: datetime
) -> bool:
    """False when the name means another account already; waits for whoever names it at this moment."""
    statement = insert(OutsideAccountRow).values(
        issuer=issuer, outside_id=outside_id, account_id=account_id, created_at=now
    )
    named = statement.on_conflict_do_nothing().returning(OutsideAccountRow.account_id)
    return (await session.execute(named)).first() is not None


async def find_project(session: AsyncSession, account_id: UUID, *, issuer: str, outside_id: str) -> UUID | None:
    found: UUID | None = await session.scalar(
        select(OutsideProjectRow.project_id).where(
            OutsideProjectRow.account_id == account_id,
            OutsideProjectRow.issuer == issuer,
            OutsideProjectRow.outside_id == outside_id,
        )
    )
    return found


async def insert_project(
    session: AsyncSession, account_id: UUID, *, issuer: str, outside_id: str, project_id: UUID, now: datetime
) -> None:
    """Under the account's lock, so that there is no other."""
    await session.execute(
        insert(OutsideProjectRow).values(
            account_id=account_id, issuer=issuer, outside_id=outside_id, project_id=project_id, created_at=now
        )
    )

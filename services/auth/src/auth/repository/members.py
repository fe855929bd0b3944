"""Who belongs to an account, and who is invited."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.people import Invitation, Member, NamedMember
from auth.repository.rows import columns, find, listed, made, values
from auth.tables import AccountRow, InvitationRow, MemberRow, ServiceAccountRow, UserRow

MACHINES: Final = select(ServiceAccountRow.id)
"""Service accounts are members that no list of people shows."""


async def lock_members(session: AsyncSession, account_id: UUID) -> None:
    """Changes of an account's members follow each other, so that it never loses its last owner to a race."""
    await session.execute(select(AccountRow.id).where(AccountRow.id == account_id).with_for_update())


async def lock_accounts_of(session: AsyncSession, user_id: UUID) -> None:
    """The same for every account that the user is in, in order of id."""
    theirs = select(MemberRow.account_id).where(MemberRow.user_id == user_id, MemberRow.state == "active")
    await session.execute(
        select(AccountRow.id).where(AccountRow.id.in_(theirs)).order_by(AccountRow.id).with_for_update()
    )


async def find_member(session: AsyncSession, account_id: UUID, user_id: UUID) -> Member | None:
    """An active member who is a person."""
    statement = select(*columns(MemberRow, Member)).where(
        MemberRow.account_id == account_id,
        MemberRow.user_id == user_id,
        MemberRow.state == "active",
        MemberRow.user_id.not_in(MACHINES),
    )
    return await find(session, statement, Member)


async def list_of_account(
    session: AsyncSession, account_id: UUID, *, after: UUID | None, limit: int
) -> list[NamedMember]:
    statement = (
        select(*columns(MemberRow, Member), UserRow.address)
        .join(UserRow, UserRow.id == MemberRow.user_id)
        .where(MemberRow.account_id == account_id, MemberRow.state == "active", MemberRow.user_id.not_in(MACHINES))
    )
    if after is not None:
        statement = statement.where(MemberRow.user_id > after)
    rows = await session.execute(statement.order_by(MemberRow.user_id).limit(limit))
    return [NamedMember(made(Member, row), row.address) for row in rows]


async def count_owners(session: AsyncSession, account_id: UUID) -> int:
    statement = select(func.count()).where(
        MemberRow.account_id == account_id, MemberRow.role == "owner", MemberRow.state == "active"
    )
    return await session.scalar(statement) or 0


async def count_owned_teams(session: AsyncSession, user_id: UUID) -> int:
    statement = (
        select(func.count())
        .select_from(MemberRow)
        .join(AccountRow, AccountRow.id == MemberRow.account_id)
        .where(
            MemberRow.user_id == user_id,
            MemberRow.role == "owner",
            MemberRow.state == "active",
            AccountRow.kind == "team",
            AccountRow.state != "closed",
        )
    )
    return await session.scalar(statement) or 0


async def update_member(session: AsyncSession, account_id: UUID, user_id: UUID, **changed: object) -> Member:
    """A new version of a membership, under the account's lock."""
    statement = (
        update(MemberRow)
        .where(MemberRow.account_id == account_id, MemberRow.user_id == user_id)
        .values(version=MemberRow.version + 1, **changed)
        .returning(*columns(MemberRow, Member))
    )
    member = await find(session, statement, Member)
    assert member is not None
    return member


async def upsert_member(session: AsyncSession, account_id: UUID, user_id: UUID, *, role: str) -> Member:
    """A new member, or one who comes back: with a new version, and without the budgets of before."""
    statement = (
        insert(MemberRow)
        .values(account_id=account_id, user_id=user_id, role=role, state="active", budgets=(), version=1)
        .on_conflict_do_update(
            index_elements=["account_id", "user_id"],
            set_={"role": role, "state": "active", "budgets": (), "version": MemberRow.version + 1},
        )
        .returning(*columns(MemberRow, Member))
    )
    member = await find(session, statement, Member)
    assert member is not None
    return member


async def insert_invitation(session: AsyncSession, invitation: Invitation) -> None:
    """One open invitation per address: an earlier one is taken back."""
    await session.execute(
        update(InvitationRow)
        .where(
            InvitationRow.account_id == invitation.account_id,
            InvitationRow.address_normal == invitation.address_normal,
            InvitationRow.state == "open",
        )
        .values(state="revoked")
    )
    await session.execute(insert(InvitationRow).values(values(invitation)))


async def find_invitation(session: AsyncSession, invitation_id: UUID, *, lock: bool = False) -> Invitation | None:
    statement = select(*columns(InvitationRow, Invitation)).where(InvitationRow.id == invitation_id)
    return await find(session, statement.with_for_update() if lock else statement, Invitation)


async def list_open_invitations(
    session: AsyncSession, account_id: UUID, *, now: datetime, before: UUID | None, limit: int
) -> list[Invitation]:
    statement = select(*columns(InvitationRow, Invitation)).where(
        InvitationRow.account_id == account_id, InvitationRow.state == "open", InvitationRow.expires_at > now
    )
    if before is not None:
        statement = statement.where(InvitationRow.id < before)
    return await listed(session, statement.order_by(InvitationRow.id.desc()).limit(limit), Invitation)


async def count_open_invitations(session: AsyncSession, account_id: UUID, *, now: datetime) -> int:
    statement = select(func.count()).where(
        InvitationRow.account_id == account_id, InvitationRow.state == "open", InvitationRow.expires_at > now
    )
    return await session.scalar(statement) or 0


async def update_invitation_state(session: AsyncSession, invitation_id: UUID, *, state: str) -> None:
    await session.execute(update(InvitationRow).where(InvitationRow.id == invitation_id).values(state=state))


async def delete_invitations_of(session: AsyncSession, *, address_normal: str, user_id: UUID) -> None:
    """Those to a person and those by them: both name somebody."""
    await session.execute(
        delete(InvitationRow).where(
            (InvitationRow.address_normal == address_normal) | (InvitationRow.invited_by == user_id)
        )
    )


async def delete_old_invitations(session: AsyncSession, *, now: datetime, keep: timedelta) -> None:
    await session.execute(delete(InvitationRow).where(InvitationRow.expires_at < now - keep))

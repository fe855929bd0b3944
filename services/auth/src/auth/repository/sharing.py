"""Shared projects."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, func, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.people import Project
from auth.domain.sharing import NamedShare, ProjectShare
from auth.repository.rows import columns, find, listed, made
from auth.tables import AccountRow, ApiKeyRow, ProjectRow, ProjectShareRow


async def insert_share(session: AsyncSession, share: ProjectShare) -> None:
    await session.execute(insert(ProjectShareRow).values(asdict(share)))


async def find_any_project(session: AsyncSession, project_id: UUID) -> Project | None:
    """An active project of whichever open account."""
    statement = (
        select(*columns(ProjectRow, Project))
        .join(AccountRow, AccountRow.id == ProjectRow.account_id)
        .where(ProjectRow.id == project_id, ProjectRow.state == "active", AccountRow.state != "closed")
    )
    return await find(session, statement, Project)


async def find_share_between(session: AsyncSession, project_id: UUID, with_project_id: UUID) -> ProjectShare | None:
    """The active share of these two projects."""
    statement = select(*columns(ProjectShareRow, ProjectShare)).where(
        ProjectShareRow.project_id == project_id,
        ProjectShareRow.with_project_id == with_project_id,
        ProjectShareRow.state == "active",
    )
    return await find(session, statement, ProjectShare)


async def find_share(session: AsyncSession, share_id: UUID, *, with_account_id: UUID) -> ProjectShare | None:
    """An active share that this account was given."""
    statement = select(*columns(ProjectShareRow, ProjectShare)).where(
        ProjectShareRow.id == share_id,
        ProjectShareRow.with_account_id == with_account_id,
        ProjectShareRow.state == "active",
    )
    return await find(session, statement.with_for_update(read=True), ProjectShare)


async def lock_share(session: AsyncSession, account_id: UUID, share_id: UUID) -> ProjectShare | None:
    """An active share, from either side."""
    statement = select(*columns(ProjectShareRow, ProjectShare)).where(
        ProjectShareRow.id == share_id, ProjectShareRow.state == "active", _of(account_id)
    )
    return await find(session, statement.with_for_update(), ProjectShare)


async def lock_shares_of(
    session: AsyncSession, *, project_id: UUID | None = None, account_id: UUID | None = None
) -> list[ProjectShare]:
    """Active shares of a project or an account, given and received."""
    statement = select(*columns(ProjectShareRow, ProjectShare)).where(ProjectShareRow.state == "active")
    if project_id is not None:
        sides = or_(ProjectShareRow.project_id == project_id, ProjectShareRow.with_project_id == project_id)
        statement = statement.where(sides)
    if account_id is not None:
        statement = statement.where(_of(account_id))
    return await listed(session, statement.order_by(ProjectShareRow.id).with_for_update(), ProjectShare)


async def count_given(session: AsyncSession, project_id: UUID) -> int:
    statement = select(func.count()).where(ProjectShareRow.project_id == project_id, ProjectShareRow.state == "active")
    return await session.scalar(statement) or 0


async def list_shares(session: AsyncSession, account_id: UUID, *, before: UUID | None, limit: int) -> list[NamedShare]:
    """Active shares that the account has given or was given, newest first, with the shared project's name."""
    statement = (
        select(*columns(ProjectShareRow, ProjectShare), ProjectRow.name)
        .join(ProjectRow, ProjectRow.id == ProjectShareRow.project_id)
        .where(ProjectShareRow.state == "active", _of(account_id))
    )
    if before is not None:
        statement = statement.where(ProjectShareRow.id < before)
    rows = await session.execute(statement.order_by(ProjectShareRow.id.desc()).limit(limit))
    return [NamedShare(made(ProjectShare, row), row.name) for row in rows]


async def update_share_revoked(session: AsyncSession, share_id: UUID, *, now: datetime) -> ProjectShare:
    statement = (
        update(ProjectShareRow)
        .where(ProjectShareRow.id == share_id)
        .values(state="revoked", revoked_at=now, version=ProjectShareRow.version + 1)
        .returning(*columns(ProjectShareRow, ProjectShare))
    )
    share = await find(session, statement, ProjectShare)
    assert share is not None
    return share


async def list_guests(session: AsyncSession, pairs: Sequence[tuple[UUID, UUID]]) -> set[tuple[UUID, UUID]]:
    """Which of these accounts and users belong together by a share's key only."""
    statement = select(ApiKeyRow.for_account_id, ApiKeyRow.user_id).where(
        tuple_(ApiKeyRow.for_account_id, ApiKeyRow.user_id).in_(list(pairs)), ApiKeyRow.state == "active"
    )
    return {(row.for_account_id, row.user_id) for row in await session.execute(statement)}


async def update_tombstoned(session: AsyncSession, *, now: datetime, keep: timedelta) -> list[UUID]:
    """Mark shares that were revoked `keep` ago; returns which."""
    over = select(ProjectShareRow.id).where(
        ProjectShareRow.tombstoned_at.is_(None), ProjectShareRow.revoked_at < now - keep
    )
    statement = (
        update(ProjectShareRow)
        .where(ProjectShareRow.id.in_(over.limit(1000)))
        .values(tombstoned_at=now)
        .returning(ProjectShareRow.id)
    )
    return list(await session.scalars(statement))


def _of(account_id: UUID) -> ColumnElement[bool]:
    return or_(ProjectShareRow.account_id == account_id, ProjectShareRow.with_account_id == account_id)

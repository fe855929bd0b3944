"""Projects, and an account's own row."""

from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.people import Account, Project
from auth.repository.rows import columns, find, listed, values
from auth.tables import AccountRow, ProjectRow


async def insert_project(session: AsyncSession, project: Project) -> None:
    await session.execute(insert(ProjectRow).values(values(project)))


async def count_active(session: AsyncSession, account_id: UUID) -> int:
    statement = select(func.count()).where(ProjectRow.account_id == account_id, ProjectRow.state == "active")
    return await session.scalar(statement) or 0


async def list_projects(session: AsyncSession, account_id: UUID, *, before: UUID | None, limit: int) -> list[Project]:
    """All projects of an account, archived ones too, newest first."""
    statement = select(*columns(ProjectRow, Project)).where(ProjectRow.account_id == account_id)
    if before is not None:
        statement = statement.where(ProjectRow.id < before)
    return await listed(session, statement.order_by(ProjectRow.id.desc()).limit(limit), Project)


async def lock_project(session: AsyncSession, account_id: UUID, project_id: UUID) -> Project | None:
    statement = select(*columns(ProjectRow, Project)).where(
        ProjectRow.account_id == account_id, ProjectRow.id == project_id
    )
    return await find(session, statement.with_for_update(), Project)


async def update_project(session: AsyncSession, project_id: UUID, **changed: object) -> Project:
    statement = (
        update(ProjectRow)
        .where(ProjectRow.id == project_id)
        .values(version=ProjectRow.version + 1, **changed)
        .returning(*columns(ProjectRow, Project))
    )
    project = await find(session, statement, Project)
    assert project is not None
    return project


async def lock_account(session: AsyncSession, account_id: UUID) -> Account:
    statement = select(*columns(AccountRow, Account)).where(AccountRow.id == account_id)
    account = await find(session, statement.with_for_update(), Account)
    assert account is not None
    return account


async def update_account(session: AsyncSession, account_id: UUID, **changed: object) -> Account:
    statement = (
        update(AccountRow)
        .where(AccountRow.id == account_id)
        .values(version=AccountRow.version + 1, **changed)
        .returning(*columns(AccountRow, Account))
    )
    account = await find(session, statement, Account)
    assert account is not None
    return account

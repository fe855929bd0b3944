"""Projects of an account: a scope with keys and a budget of its own."""

from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.audit import Acting
from auth.domain.people import Project
from auth.errors import DefaultProjectError, TooManyProjectsError, UnknownProjectError
from auth.repository import api_keys, projects
from auth.service import audit, facts, sharing
from auth.service.permissions import require
from contracts.terms import Budget
from kit import outbox
from kit.clock import Clock
from kit.ids import uuid7

PROJECTS_MOST: Final = 500


async def list_projects(session: AsyncSession, acting: Acting, *, before: UUID | None, limit: int) -> list[Project]:
    await require(session, acting, "list_projects")
    return await projects.list_projects(session, acting.account_id, before=before, limit=limit)


async def make_project(
    session: AsyncSession, acting: Acting, *, name: str, budgets: tuple[Budget, ...], clock: Clock
) -> Project:
    await require(session, acting, "manage_projects")
    await projects.lock_account(session, acting.account_id)
    if await projects.count_active(session, acting.account_id) >= PROJECTS_MOST:
        raise TooManyProjectsError(f"An account has at most {PROJECTS_MOST} projects; archive some.")
    now = clock.now()
    project = Project(
        uuid7(clock),
        acting.account_id,
        name,
        is_default=False,
        state="active",
        version=1,
        created_at=now,
        budgets=budgets,
    )
    await projects.insert_project(session, project)
    await outbox.add(session, facts.project_changed(project, now=now))
    await _record(session, acting, "project.made", project, before=None, clock=clock)
    return project


async def change_project(
    session: AsyncSession,
    acting: Acting,
    project_id: UUID,
    *,
    name: str | None,
    state: Literal["active", "archived"] | None,
    budgets: tuple[Budget, ...] | None,
    clock: Clock,
) -> Project:
    """None leaves as it is. Archiving revokes the project's keys, for good."""
    await require(session, acting, "manage_projects")
    before = await projects.lock_project(session, acting.account_id, project_id)
    if before is None:
        raise UnknownProjectError("This account has no such project.")
    if state == "archived" and before.is_default:
        raise DefaultProjectError("The default project stays: keys and calls without a project belong to it.")
    changed = {"name": name, "state": state, "budgets": budgets}
    given = {field: value for field, value in changed.items() if value is not None}
    if not given:
        return before
    if state == "archived":
        await _revoke_keys(session, acting.account_id, project_id, clock=clock)
        await sharing.end_shares(session, by=acting.actor, home=acting.account_id, project_id=project_id, clock=clock)
    project = await projects.update_project(session, project_id, **given)
    await outbox.add(session, facts.project_changed(project, now=clock.now()))
    await _record(session, acting, "project.changed", project, before=before, clock=clock)
    return project


async def _revoke_keys(session: AsyncSession, account_id: UUID, project_id: UUID, *, clock: Clock) -> None:
    for key in await api_keys.lock_keys_of(session, account_id=account_id, project_id=project_id):
        revoked = await api_keys.update_api_key_revoked(session, key.id, now=clock.now())
        await outbox.add(session, facts.api_key_changed(revoked, now=clock.now()))


async def _record(
    session: AsyncSession, acting: Acting, action: str, project: Project, *, before: Project | None, clock: Clock
) -> None:
    await audit.record(
        session,
        action,
        by=acting.actor,
        target=("project", project.id),
        account_id=project.account_id,
        clock=clock,
        change=(None if before is None else _shown(before), _shown(project)),
    )


def _shown(project: Project) -> dict[str, Any]:
    budgets = [one.model_dump(mode="json") for one in project.budgets]
    return {"name": project.name, "state": project.state, "budgets": budgets}

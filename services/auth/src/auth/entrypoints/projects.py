"""Projects of the caller's account."""

from uuid import UUID

from fastapi import APIRouter

from auth.domain.people import Project
from auth.entrypoints.parts import ActingDep, PartsDep, before_id, refusals
from auth.schemas.budgets import bodies_of, budgets_of
from auth.schemas.teams import ChangeProjectRequest, OwnProjectAnswer, ProjectRequest
from auth.service import projects
from kit.paging import Cursor, Limit, Page, encode_cursor

router = APIRouter(prefix="/auth/projects", tags=["projects"])


@router.get("", summary="Projects, newest first", responses=refusals(401, 403))
async def list_projects(
    parts: PartsDep, acting: ActingDep, limit: Limit = 50, cursor: Cursor = None
) -> Page[OwnProjectAnswer]:
    async with parts.database.reading() as session:
        found = await projects.list_projects(session, acting, before=before_id(cursor), limit=limit + 1)
    items = [_shown(one) for one in found[:limit]]
    return Page(items=items, next_cursor=encode_cursor(str(items[-1].id)) if len(found) > limit else None)


@router.post("", status_code=201, summary="Make a project", responses=refusals(401, 403, 409))
async def make_project(body: ProjectRequest, parts: PartsDep, acting: ActingDep) -> OwnProjectAnswer:
    async with parts.database.transaction() as session:
        project = await projects.make_project(
            session, acting, name=body.name, budgets=budgets_of(body.budgets), clock=parts.clock
        )
    return _shown(project)


@router.patch(
    "/{project_id}", summary="Rename or archive a project, or set budgets", responses=refusals(401, 403, 404, 409)
)
async def change_project(
    project_id: UUID, body: ChangeProjectRequest, parts: PartsDep, acting: ActingDep
) -> OwnProjectAnswer:
    budgets = None if body.budgets is None else budgets_of(body.budgets)
    async with parts.database.transaction() as session:
        project = await projects.change_project(
            session, acting, project_id, name=body.name, state=body.state, budgets=budgets, clock=parts.clock
        )
    return _shown(project)


def _shown(project: Project) -> OwnProjectAnswer:
    return OwnProjectAnswer(
        id=project.id,
        name=project.name,
        default=project.is_default,
        state=project.state,
        budgets=bodies_of(project.budgets),
        created_at=project.created_at,
    )

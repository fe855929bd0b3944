"""Projects shared with other accounts, and theirs with the caller's."""

from uuid import UUID

from fastapi import APIRouter

from auth.domain.audit import Acting
from auth.domain.sharing import NamedShare
from auth.entrypoints.parts import ActingDep, PartsDep, before_id, forget_key, refusals
from auth.schemas.common import StatusAnswer
from auth.schemas.machines import ShareAnswer, ShareRequest
from auth.service import sharing
from kit.paging import Cursor, Limit, Page, encode_cursor

router = APIRouter(prefix="/auth", tags=["projects"])


@router.post(
    "/projects/{project_id}/shares",
    status_code=201,
    summary="Share a project with another account's project",
    responses=refusals(401, 403, 404, 409),
)
async def share(project_id: UUID, body: ShareRequest, parts: PartsDep, acting: ActingDep) -> ShareAnswer:
    """The caller's account pays for what the other project uses, within this project's budgets."""
    async with parts.database.transaction() as session:
        made = await sharing.share_project(
            session,
            acting,
            project_id,
            with_project_id=body.with_project_id,
            access=body.access,
            clock=parts.clock,
        )
    return _shown(made, acting)


@router.get("/shares", summary="Shares given and received, newest first", responses=refusals(401, 403))
async def list_shares(
    parts: PartsDep, acting: ActingDep, limit: Limit = 50, cursor: Cursor = None
) -> Page[ShareAnswer]:
    async with parts.database.reading() as session:
        found = await sharing.list_shares(session, acting, before=before_id(cursor), limit=limit + 1)
    items = [_shown(one, acting) for one in found[:limit]]
    return Page(items=items, next_cursor=encode_cursor(str(items[-1].id)) if len(found) > limit else None)


@router.delete("/shares/{share_id}", summary="End a share, and the keys made for it", responses=refusals(401, 403, 404))
async def revoke(share_id: UUID, parts: PartsDep, acting: ActingDep) -> StatusAnswer:
    """Either side may; calls with its keys are refused within seconds."""
    async with parts.database.transaction() as session:
        keys = await sharing.revoke_share(session, acting, share_id, clock=parts.clock)
    for key_id in keys:
        forget_key(parts, key_id)
    return StatusAnswer()


def _shown(named: NamedShare, acting: Acting) -> ShareAnswer:
    one = named.share
    return ShareAnswer(
        id=one.id,
        direction="given" if one.account_id == acting.account_id else "received",
        account_id=one.account_id,
        project_id=one.project_id,
        project_name=named.project_name,
        with_account_id=one.with_account_id,
        with_project_id=one.with_project_id,
        access=one.access,
        created_at=one.created_at,
    )

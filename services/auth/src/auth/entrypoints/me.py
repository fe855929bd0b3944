"""The caller's own user, accounts and sessions."""

from uuid import UUID

from fastapi import APIRouter

from auth.domain.access import Session
from auth.domain.people import Membership
from auth.entrypoints.parts import ActingDep, PartsDep, SessionCallerDep, before_id, forget_sessions, refusals
from auth.schemas.common import StatusAnswer
from auth.schemas.people import AccountAnswer, MeAnswer, ProjectAnswer, SessionAnswer, UserAnswer
from auth.service import people, sessions
from kit.identity import CallerDep
from kit.paging import Cursor, Limit, Page, encode_cursor

router = APIRouter(prefix="/auth", tags=["me"])


@router.get("/me", summary="User, accounts, roles and projects of the caller", responses=refusals(401))
async def me(parts: PartsDep, caller: CallerDep) -> MeAnswer:
    async with parts.database.statement() as session:
        profile = await people.get_profile(session, caller.user_id)
    user = profile.user
    return MeAnswer(
        user=UserAnswer(
            id=user.id,
            email=user.address if caller.session_id else None,
            email_verified=user.verified_at is not None,
            operator=user.operator,
            second_factor=profile.second_factor,
            deletion_due_at=user.deletion_due_at,
            created_at=user.created_at,
        ),
        accounts=[_account(membership) for membership in profile.memberships],
        account_id=caller.account_id,
        role=caller.role,
        session_id=caller.session_id,
        api_key_id=caller.api_key_id,
        project_id=caller.project_id,
        impersonated=caller.actor_id is not None,
    )


@router.get("/sessions", summary="Sessions that are open", responses=refusals(401, 403))
async def list_sessions(
    parts: PartsDep, caller: SessionCallerDep, limit: Limit = 50, cursor: Cursor = None
) -> Page[SessionAnswer]:
    async with parts.database.reading() as session:
        found = await sessions.list_sessions(
            session, caller.user_id, now=parts.clock.now(), before=before_id(cursor), limit=limit + 1
        )
    items = [_session(one, current=one.id == caller.session_id) for one in found[:limit]]
    return Page(items=items, next_cursor=encode_cursor(str(items[-1].id)) if len(found) > limit else None)


@router.delete("/sessions/{session_id}", summary="End a session", responses=refusals(401, 403, 404))
async def end_session(session_id: UUID, parts: PartsDep, acting: ActingDep) -> StatusAnswer:
    async with parts.database.transaction() as session:
        ended = await sessions.end_session(session, acting, session_id, clock=parts.clock)
    forget_sessions(parts, ended)
    return StatusAnswer()


def _account(membership: Membership) -> AccountAnswer:
    account = membership.account
    return AccountAnswer(
        id=account.id,
        kind=account.kind,
        name=account.name,
        state=account.state,
        activated=account.activated_at is not None,
        role=membership.role,
        plan=membership.plan,
        projects=[
            ProjectAnswer(id=project.id, name=project.name, default=project.is_default)
            for project in membership.projects
        ],
    )


def _session(session: Session, *, current: bool) -> SessionAnswer:
    return SessionAnswer(
        id=session.id,
        client_id=session.client_id,
        device=session.device,
        network=session.network,
        created_at=session.created_at,
        last_seen_at=session.last_seen_at,
        expires_at=session.expires_at,
        current=current,
        operator=session.operator_id is not None,
        reason=session.reason,
    )

"""What operators see and do. Whatever changes something needs a token of `/auth/step-up`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from auth.adapters import addresses
from auth.domain.audit import Actor
from auth.domain.people import User
from auth.entrypoints.parts import PartsDep, before_id, forget_sessions, network_of, refusals
from auth.schemas.common import StatusAnswer
from auth.schemas.operators import (
    AccountStateRequest,
    OperatedAccountAnswer,
    OperatedUserAnswer,
    ReasonRequest,
    UserStateRequest,
)
from auth.service import operating
from kit.identity import OperatorDep, SteppedUpOperatorDep
from kit.paging import Cursor, Limit, Page, encode_cursor

router = APIRouter(prefix="/auth/operator", tags=["operators"])


async def stepped_up_actor(request: Request, parts: PartsDep, caller: SteppedUpOperatorDep) -> Actor:
    return Actor(kind="operator", user_id=caller.user_id, network=network_of(request, parts.trusted_proxies))


ActorDep = Annotated[Actor, Depends(stepped_up_actor)]


@router.get("/users", summary="Users, newest first, or the one with an address", responses=refusals(401, 403))
async def list_users(
    parts: PartsDep,
    _operator: OperatorDep,
    *,
    limit: Limit = 50,
    cursor: Cursor = None,
    email: Annotated[str | None, Query(max_length=254)] = None,
) -> Page[OperatedUserAnswer]:
    normal = None if email is None else addresses.parse(email, reserved_names=parts.reserved_names)[1]
    async with parts.database.reading() as session:
        found = await operating.list_users(session, address_normal=normal, before=before_id(cursor), limit=limit + 1)
    items = [_user(one) for one in found[:limit]]
    return Page(items=items, next_cursor=encode_cursor(str(items[-1].id)) if len(found) > limit else None)


@router.post("/users/{user_id}/state", summary="Disable or enable a user", responses=refusals(401, 403, 404))
async def set_user_state(user_id: UUID, body: UserStateRequest, parts: PartsDep, actor: ActorDep) -> OperatedUserAnswer:
    """A disabled user is refused everywhere within seconds, with tokens and keys alike."""
    async with parts.database.transaction() as session:
        user, ended = await operating.set_user_state(
            session, actor, user_id, state=body.state, reason=body.reason, clock=parts.clock
        )
    forget_sessions(parts, ended)
    return _user(user)


@router.post("/users/{user_id}/sessions/end", summary="Sign a user out", responses=refusals(401, 403, 404))
async def end_sessions(user_id: UUID, body: ReasonRequest, parts: PartsDep, actor: ActorDep) -> StatusAnswer:
    async with parts.database.transaction() as session:
        ended = await operating.end_sessions(session, actor, user_id, reason=body.reason, clock=parts.clock)
    forget_sessions(parts, ended)
    return StatusAnswer()


@router.post(
    "/users/{user_id}/second-factor/reset",
    summary="Take a lost second factor away",
    responses=refusals(401, 403, 404, 409),
)
async def reset_second_factor(user_id: UUID, body: ReasonRequest, parts: PartsDep, actor: ActorDep) -> StatusAnswer:
    async with parts.database.transaction() as session:
        ended = await operating.reset_second_factor(session, actor, user_id, reason=body.reason, clock=parts.clock)
    forget_sessions(parts, ended)
    return StatusAnswer()


@router.post(
    "/accounts/{account_id}/state", summary="Freeze or open an account", responses=refusals(401, 403, 404, 409)
)
async def set_account_state(
    account_id: UUID, body: AccountStateRequest, parts: PartsDep, actor: ActorDep
) -> OperatedAccountAnswer:
    async with parts.database.transaction() as session:
        account = await operating.set_account_state(
            session, actor, account_id, state=body.state, reason=body.reason, clock=parts.clock
        )
    return OperatedAccountAnswer(
        id=account.id, kind=account.kind, name=account.name, state=account.state, created_at=account.created_at
    )


def _user(user: User) -> OperatedUserAnswer:
    return OperatedUserAnswer(
        id=user.id,
        email=user.address,
        email_verified=user.verified_at is not None,
        state=user.state,
        operator=user.operator,
        deletion_due_at=user.deletion_due_at,
        created_at=user.created_at,
    )

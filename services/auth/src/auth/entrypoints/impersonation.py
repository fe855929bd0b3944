"""An operator looks at things as a user does."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from auth.domain.audit import Actor
from auth.entrypoints.operators import stepped_up_actor
from auth.entrypoints.parts import PartsDep, refusals
from auth.schemas.machines import ImpersonateRequest, ImpersonationAnswer
from auth.service import impersonating
from auth.service.impersonating import WantedLook

router = APIRouter(prefix="/auth/operator", tags=["operators"])


@router.post(
    "/users/{user_id}/impersonate",
    status_code=201,
    summary="A token that reads as this user does, and changes nothing",
    responses=refusals(401, 403, 404),
)
async def impersonate(
    user_id: UUID, body: ImpersonateRequest, parts: PartsDep, actor: Annotated[Actor, Depends(stepped_up_actor)]
) -> ImpersonationAnswer:
    """The user gets a mail, sees the session and its reason among their own, and can end it."""
    wanted = WantedLook(user_id=user_id, account_id=body.account_id, reason=body.reason, minutes=body.minutes)
    signer = await parts.ring.signer()
    async with parts.database.transaction() as session:
        look, issued = await impersonating.impersonate(session, actor, wanted, signer=signer, clock=parts.clock)
    return ImpersonationAnswer(
        access_token=issued.token,
        expires_in=issued.expires_in_s,
        session_id=look.id,
        user_id=look.user_id,
        account_id=look.account_id,
    )

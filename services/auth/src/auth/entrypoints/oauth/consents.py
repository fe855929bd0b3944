"""The programs that the caller has let in."""

from typing import Annotated

from fastapi import APIRouter, Path

from auth.entrypoints.parts import ActingDep, PartsDep, forget_sessions, refusals
from auth.schemas.common import StatusAnswer
from auth.schemas.oauth import ConsentAnswer, ConsentsAnswer
from auth.service.oauth import consents

router = APIRouter(prefix="/auth/consents", tags=["programs"])

ClientId = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]


@router.get("", summary="Programs that you have let in", responses=refusals(401, 403))
async def list_consents(parts: PartsDep, acting: ActingDep) -> ConsentsAnswer:
    async with parts.database.reading() as session:
        found = await consents.list_consents(session, acting.user_id)
    return ConsentsAnswer(
        items=[
            ConsentAnswer(
                client_id=one.client_id, client_name=one.client_name, scope=one.scope, granted_at=one.granted_at
            )
            for one in found
        ]
    )


@router.delete("/{client_id}", summary="Shut a program out; what it holds ends", responses=refusals(401, 403, 404))
async def revoke_consent(client_id: ClientId, parts: PartsDep, acting: ActingDep) -> StatusAnswer:
    async with parts.database.transaction() as session:
        ended = await consents.revoke_consent(session, acting, client_id, clock=parts.clock)
    forget_sessions(parts, ended)
    return StatusAnswer()

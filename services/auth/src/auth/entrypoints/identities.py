"""Who vouches for the caller from outside."""

from uuid import UUID

from fastapi import APIRouter

from auth.entrypoints.parts import ActingDep, PartsDep, SessionCallerDep, refusals
from auth.entrypoints.proving import prove
from auth.schemas.common import StatusAnswer
from auth.schemas.identities import IdentitiesAnswer, IdentityAnswer
from auth.schemas.passwords import Proof
from auth.service import recognizing

router = APIRouter(prefix="/auth/identities", tags=["identities"])


@router.get("", summary="The caller's outside identities", responses=refusals(401, 403))
async def list_identities(parts: PartsDep, caller: SessionCallerDep) -> IdentitiesAnswer:
    async with parts.database.reading() as session:
        found = await recognizing.list_identities(session, caller.user_id)
    return IdentitiesAnswer(
        items=[
            IdentityAnswer(
                id=one.id,
                provider=one.provider,
                issuer=one.issuer,
                subject=one.subject,
                created_at=one.created_at,
                last_used_at=one.last_used_at,
            )
            for one in found
        ]
    )


@router.post("/{identity_id}/remove", summary="Unlink an identity", responses=refusals(401, 403, 404, 409, 429, 503))
async def unlink(identity_id: UUID, body: Proof, parts: PartsDep, acting: ActingDep) -> StatusAnswer:
    """After a fresh proof; the last way to sign in stays."""
    await prove(parts, acting, body)
    async with parts.database.transaction() as session:
        await recognizing.unlink(session, acting.user_id, identity_id, by=acting.actor, clock=parts.clock)
    return StatusAnswer()

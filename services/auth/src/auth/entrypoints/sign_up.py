"""What a sign-up page asks before it sends the form."""

from fastapi import APIRouter

from auth.domain.sign_up_proof import WORK_S
from auth.entrypoints.parts import PartsDep
from auth.schemas.sign_in import SignUpProofAnswer

router = APIRouter(prefix="/auth", tags=["sign-in"])


@router.get("/sign-up-proof", summary="Which proof a registration has to bring")
async def sign_up_proof(parts: PartsDep) -> SignUpProofAnswer:
    """With `proof_of_work`: find a `solution` so that SHA-256 of `challenge.solution` begins with so many zero bits."""
    guard = parts.guard
    if guard.kind != "proof_of_work":
        return SignUpProofAnswer(kind=guard.kind)
    challenge = guard.challenge(now=parts.clock.now())
    return SignUpProofAnswer(kind=guard.kind, challenge=challenge, bits=guard.bits, expires_in=int(WORK_S))

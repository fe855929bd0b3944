"""The second factor of the caller, and stepping up."""

from fastapi import APIRouter

from auth.entrypoints.parts import ActingDep, PartsDep, refusals
from auth.entrypoints.proving import prove
from auth.schemas.common import StatusAnswer
from auth.schemas.passwords import Proof
from auth.schemas.second_factors import ConfirmTotpRequest, RecoveryCodesAnswer, StepUpAnswer, TotpAnswer
from auth.service import stepping_up

router = APIRouter(prefix="/auth", tags=["second factor"])


@router.post("/totp", status_code=201, summary="Begin with a second factor", responses=refusals(401, 403, 409, 429))
async def begin(body: Proof, parts: PartsDep, acting: ActingDep) -> TotpAnswer:
    """The secret for an authenticator app; it counts once a code of it has been confirmed."""
    await prove(parts, acting, body)
    async with parts.database.transaction() as session:
        secret, uri = await parts.second_factors.begin(session, acting, clock=parts.clock)
    return TotpAnswer(secret=secret, uri=uri)


@router.post("/totp/confirm", summary="Switch the second factor on", responses=refusals(401, 403, 409))
async def confirm(body: ConfirmTotpRequest, parts: PartsDep, acting: ActingDep) -> RecoveryCodesAnswer:
    async with parts.database.transaction() as session:
        made = await parts.second_factors.confirm(session, acting, body.code.get_secret_value(), clock=parts.clock)
    return RecoveryCodesAnswer(recovery_codes=made)


@router.post("/totp/remove", summary="Switch the second factor off", responses=refusals(401, 403, 409, 429))
async def remove(body: Proof, parts: PartsDep, acting: ActingDep) -> StatusAnswer:
    await prove(parts, acting, body)
    async with parts.database.transaction() as session:
        await parts.second_factors.remove(session, acting, clock=parts.clock)
    return StatusAnswer()


@router.post("/recovery-codes", summary="New recovery codes for all old ones", responses=refusals(401, 403, 409, 429))
async def renew_recovery_codes(body: Proof, parts: PartsDep, acting: ActingDep) -> RecoveryCodesAnswer:
    await prove(parts, acting, body)
    async with parts.database.transaction() as session:
        made = await parts.second_factors.renew_recovery_codes(session, acting, clock=parts.clock)
    return RecoveryCodesAnswer(recovery_codes=made)


@router.post("/step-up", summary="A token for what needs a fresh proof", responses=refusals(401, 403, 409, 429))
async def step_up(body: Proof, parts: PartsDep, acting: ActingDep) -> StepUpAnswer:
    """Prove password and second factor once more, or a passkey; the token is good for 5 minutes."""
    proved_by = await prove(parts, acting, body)
    signer = await parts.ring.signer()
    async with parts.database.transaction() as session:
        issued = await stepping_up.step_up(
            session,
            acting,
            proved_by=proved_by,
            signer=signer,
            factor_needed=parts.operator_second_factor,
            clock=parts.clock,
        )
    return StepUpAnswer(access_token=issued.token, expires_in=issued.expires_in_s)

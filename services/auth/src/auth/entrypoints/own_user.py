"""A user's own address, and leaving for good."""

from fastapi import APIRouter, Request

from auth.adapters import addresses
from auth.entrypoints.parts import ActingDep, PartsDep, forget_sessions, network_of, refusals
from auth.entrypoints.proving import prove
from auth.schemas.common import StatusAnswer
from auth.schemas.passwords import ChangeEmailRequest, DeletionAnswer, EmailChangeAnswer, Proof, TokenRequest
from auth.service import changing_address, leaving, messages

router = APIRouter(prefix="/auth", tags=["me"])


@router.post("/verify-email", summary="Confirm an address with the link's token", responses=refusals(404))
async def verify_email(body: TokenRequest, parts: PartsDep) -> StatusAnswer:
    async with parts.database.transaction() as session:
        await messages.verify_address(session, body.token.get_secret_value(), now=parts.clock.now())
    return StatusAnswer()


@router.post(
    "/email/change",
    status_code=202,
    summary="Ask for another address; both the old and the new one must confirm",
    responses=refusals(401, 403, 429, 503),
)
async def change_email(body: ChangeEmailRequest, parts: PartsDep, acting: ActingDep) -> StatusAnswer:
    """The answer is the same whether the new address is known or not."""
    address = addresses.parse(body.email, reserved_names=parts.reserved_names)
    await prove(parts, acting, body)
    async with parts.database.transaction() as session:
        await changing_address.request_change(session, acting, address=address, limits=parts.limits, clock=parts.clock)
    return StatusAnswer()


@router.post("/email/confirm", summary="Confirm a change of address with a link's token", responses=refusals(404))
async def confirm_email(request: Request, body: TokenRequest, parts: PartsDep) -> EmailChangeAnswer:
    network = network_of(request, parts.trusted_proxies)
    async with parts.database.transaction() as session:
        changed = await changing_address.confirm_change(
            session, body.token.get_secret_value(), network=network, clock=parts.clock
        )
    return EmailChangeAnswer(changed=changed)


@router.post(
    "/me/deletion",
    status_code=202,
    summary="Delete the caller's user after a grace period; sessions end now",
    responses=refusals(401, 403, 409, 429, 503),
)
async def request_deletion(body: Proof, parts: PartsDep, acting: ActingDep) -> DeletionAnswer:
    """Sign in again before then to cancel. Personal accounts close, personal data is erased, the books stay."""
    await prove(parts, acting, body)
    async with parts.database.transaction() as session:
        due_at, ended = await leaving.request_deletion(session, acting, grace=parts.deletion_grace, clock=parts.clock)
    forget_sessions(parts, ended)
    return DeletionAnswer(deletion_due_at=due_at)


@router.delete("/me/deletion", summary="Cancel the deletion", responses=refusals(401, 403))
async def cancel_deletion(parts: PartsDep, acting: ActingDep) -> StatusAnswer:
    async with parts.database.transaction() as session:
        await leaving.cancel_deletion(session, acting, clock=parts.clock)
    return StatusAnswer()

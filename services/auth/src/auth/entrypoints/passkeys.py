"""Passkeys (WebAuthn): made and kept by who is signed in, used to sign in without a name, and to prove oneself."""

from uuid import UUID

from fastapi import APIRouter, Request

from auth.domain.passkeys import Passkey
from auth.entrypoints.parts import ActingDep, PartsDep, SessionCallerDep, device_of, network_of, refusals
from auth.entrypoints.proving import prove
from auth.entrypoints.sign_in import tokens_of
from auth.errors import PasskeyRefusedAtSignInError, PasskeyRefusedError
from auth.schemas.common import StatusAnswer
from auth.schemas.passkeys import (
    AddPasskeyRequest,
    PasskeyAnswer,
    PasskeyOptionsAnswer,
    PasskeysAnswer,
    PasskeySignInRequest,
    RenamePasskeyRequest,
)
from auth.schemas.passwords import Proof
from auth.schemas.sign_in import TokensAnswer
from auth.service import passkeys
from auth.service.arriving import Arrival, finish_arrival
from auth.service.passkeys import Copied
from auth.service.signing_in import CodeRefused

router = APIRouter(prefix="/auth/passkeys", tags=["passkeys"])


@router.post("/registration", summary="Begin with a new passkey", responses=refusals(401, 403, 409, 429, 503))
async def begin_registration(body: Proof, parts: PartsDep, acting: ActingDep) -> PasskeyOptionsAnswer:
    """Options for `navigator.credentials.create`, after a fresh proof of who is signed in."""
    await prove(parts, acting, body)
    async with parts.database.transaction() as session:
        options = await parts.passkeys.begin_registration(session, acting, clock=parts.clock)
    return PasskeyOptionsAnswer(public_key=options)


@router.post("", status_code=201, summary="Keep the passkey that was made", responses=refusals(401, 403, 409))
async def add(body: AddPasskeyRequest, parts: PartsDep, acting: ActingDep) -> PasskeyAnswer:
    async with parts.database.transaction() as session:
        made = await parts.passkeys.register(session, acting, body.credential, name=body.name, clock=parts.clock)
    return _answer(made)


@router.get("", summary="The caller's passkeys", responses=refusals(401, 403))
async def list_passkeys(parts: PartsDep, caller: SessionCallerDep) -> PasskeysAnswer:
    async with parts.database.reading() as session:
        found = await passkeys.list_passkeys(session, caller.user_id)
    return PasskeysAnswer(items=[_answer(one) for one in found])


@router.patch("/{passkey_id}", summary="Call a passkey something else", responses=refusals(401, 403, 404))
async def rename(
    passkey_id: UUID, body: RenamePasskeyRequest, parts: PartsDep, caller: SessionCallerDep
) -> PasskeyAnswer:
    async with parts.database.transaction() as session:
        renamed = await passkeys.rename_passkey(session, caller.user_id, passkey_id, name=body.name)
    return _answer(renamed)


@router.post("/{passkey_id}/remove", summary="Remove a passkey", responses=refusals(401, 403, 404, 409, 429, 503))
async def remove(passkey_id: UUID, body: Proof, parts: PartsDep, acting: ActingDep) -> StatusAnswer:
    """After a fresh proof; the last way to sign in stays."""
    await prove(parts, acting, body)
    async with parts.database.transaction() as session:
        await passkeys.remove_passkey(session, acting, passkey_id, clock=parts.clock)
    return StatusAnswer()


@router.post("/proof", summary="Begin to prove oneself with a passkey", responses=refusals(401, 403))
async def begin_proof(parts: PartsDep, acting: ActingDep) -> PasskeyOptionsAnswer:
    """What the browser answers is the `passkey` of every route that asks for a fresh proof, such as `/auth/step-up`."""
    async with parts.database.transaction() as session:
        options = await parts.passkeys.begin_proof(session, acting, clock=parts.clock)
    return PasskeyOptionsAnswer(public_key=options)


@router.post("/sign-in/options", summary="Begin to sign in with a passkey", responses=refusals(429))
async def begin_sign_in(request: Request, parts: PartsDep) -> PasskeyOptionsAnswer:
    """Nobody has to say who they are: the authenticator offers the passkeys that it has for this site."""
    async with parts.database.transaction() as session:
        network = network_of(request, parts.trusted_proxies)
        await parts.limits.take_challenge(session, network=network, now=parts.clock.now())
        options = await parts.passkeys.begin_sign_in(session, clock=parts.clock)
    return PasskeyOptionsAnswer(public_key=options)


@router.post("/sign-in", summary="Sign in with a passkey", responses=refusals(401, 429))
async def sign_in(request: Request, body: PasskeySignInRequest, parts: PartsDep) -> TokensAnswer:
    """No code is asked for besides: the authenticator has verified its user."""
    network, signer = network_of(request, parts.trusted_proxies), await parts.ring.signer()
    try:
        async with parts.database.transaction() as session:
            used = await parts.passkeys.use(
                session,
                body.credential,
                purpose="passkey-sign-in",
                user_id=None,
                network=network,
                clock=parts.clock,
            )
    except PasskeyRefusedError as error:
        raise PasskeyRefusedAtSignInError(error.detail, field=error.field) from None
    if isinstance(used, Copied):
        raise PasskeyRefusedAtSignInError("This passkey is refused: there seems to be a copy of it.")
    arrival = Arrival(user_id=used.user_id, way="passkey", device=device_of(request), network=network)
    async with parts.database.transaction() as session:
        signed_in = await finish_arrival(
            session, arrival, code=None, second_factors=parts.second_factors, signer=signer, clock=parts.clock
        )
    assert not isinstance(signed_in, CodeRefused)
    return tokens_of(signed_in)


def _answer(passkey: Passkey) -> PasskeyAnswer:
    return PasskeyAnswer(
        id=passkey.id,
        name=passkey.name,
        synced=passkey.backed_up,
        created_at=passkey.created_at,
        last_used_at=passkey.last_used_at,
    )

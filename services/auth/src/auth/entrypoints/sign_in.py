"""Registering, signing in, refreshing, signing out."""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Body, Request

from auth.adapters import addresses
from auth.entrypoints.parts import Parts, PartsDep, SessionCallerDep, device_of, network_of, refusals
from auth.errors import RefreshTokenError, RefreshTokenReusedError, TooManyAttemptsError
from auth.schemas import LoginRequest, LogoutRequest, RefreshRequest, RegisterRequest, StatusAnswer, TokensAnswer
from auth.service import messages, registering, sessions, signing_in
from auth.service.registering import NewUser
from auth.service.sessions import Refused, SignedIn
from contracts.auth import SessionRevoked

router = APIRouter(prefix="/auth", tags=["sign-in"])

ANSWER_STEP_S: Final = 0.2


@router.post("/register", status_code=201, summary="Register with e-mail and password", responses=refusals(429, 503))
async def register(request: Request, body: RegisterRequest, parts: PartsDep) -> StatusAnswer:
    """The answer is the same whether the address is known or not; sign in to learn your ids."""
    began = asyncio.get_running_loop().time()
    address, normal = addresses.parse(body.email, reserved_names=parts.reserved_names)
    password = body.password.get_secret_value()
    registering.check_password(password, address=normal)
    async with parts.database.transaction() as session:
        network = network_of(request, parts.trusted_proxies)
        await parts.limits.take_sign_up(session, network=network, now=parts.clock.now())
    new = NewUser(address=address, address_normal=normal, password_hash=await parts.passwords.hash(password))
    async with parts.database.transaction() as session:
        await registering.register(session, new, limits=parts.limits, activation=parts.activation, clock=parts.clock)
    await _until_next_step(began)
    return StatusAnswer()


async def _until_next_step(began: float) -> None:
    """Answer at a multiple of a step: making a user takes some milliseconds longer than finding one."""
    taken = asyncio.get_running_loop().time() - began
    await asyncio.sleep(ANSWER_STEP_S - taken % ANSWER_STEP_S)


@router.post("/login", summary="Sign in with e-mail and password", responses=refusals(401, 429, 503))
async def login(request: Request, body: LoginRequest, parts: PartsDep) -> TokensAnswer:
    _, normal = addresses.parse(body.email, reserved_names=parts.reserved_names)
    signer = await parts.ring.signer()
    # Two transactions, because argon2 must not hold a connection.
    async with parts.database.transaction() as session:
        attempt = await signing_in.begin_sign_in(
            session,
            normal,
            network=network_of(request, parts.trusted_proxies),
            limits=parts.limits,
            now=parts.clock.now(),
        )
    verdict = await parts.passwords.verify(attempt.password_hash, body.password.get_secret_value())
    async with parts.database.transaction() as session:
        signed_in = await signing_in.finish_sign_in(
            session,
            attempt,
            verdict,
            device=device_of(request),
            limits=parts.limits,
            signer=signer,
            clock=parts.clock,
        )
    return _tokens(signed_in)


@router.post("/refresh", summary="Exchange a refresh token for new tokens", responses=refusals(401))
async def refresh(body: RefreshRequest, parts: PartsDep) -> TokensAnswer:
    """Each refresh token works once; using one again ends the session, except within 10 seconds of its first use."""
    token, signer = body.refresh_token.get_secret_value(), await parts.ring.signer()
    async with parts.refreshing.lock(token), parts.database.transaction() as session:
        outcome = await sessions.refresh_session(
            session, token, keyed=parts.refresh_keyed, signer=signer, clock=parts.clock
        )
    # Raised after the transaction: the end of the family must be kept.
    if isinstance(outcome, Refused):
        if outcome.reused:
            raise RefreshTokenReusedError("This refresh token was used before; the session has been ended.")
        raise RefreshTokenError("This refresh token is not valid; sign in again.")
    return _tokens(outcome)


@router.post("/logout", summary="End this session, or all of them", responses=refusals(401, 403, 404))
async def logout(
    parts: PartsDep, caller: SessionCallerDep, body: Annotated[LogoutRequest | None, Body()] = None
) -> StatusAnswer:
    assert caller.session_id is not None
    now = parts.clock.now()
    async with parts.database.transaction() as session:
        if body is not None and body.all:
            ended = await sessions.end_all_sessions(session, caller.user_id, now=now)
        else:
            ended = await sessions.end_session(session, caller.user_id, caller.session_id, now=now)
    _forget(parts, ended)
    return StatusAnswer()


@router.post(
    "/verify-email/resend",
    status_code=202,
    summary="Send the verification mail again",
    responses=refusals(401, 403, 429),
)
async def resend_verification(parts: PartsDep, caller: SessionCallerDep) -> StatusAnswer:
    """Does nothing when the address is verified already."""
    async with parts.database.transaction() as session:
        wait_s = await messages.request_verification(session, caller.user_id, limits=parts.limits, clock=parts.clock)
    if wait_s:
        raise TooManyAttemptsError(f"Too many mails; try again in {wait_s} s.", retry_after_s=wait_s)
    return StatusAnswer()


def _forget(parts: Parts, ended: list[SessionRevoked]) -> None:
    """Spare this process the wait for its own events to come back."""
    for event in ended:
        parts.revocations.on_session(event)


def _tokens(signed_in: SignedIn) -> TokensAnswer:
    return TokensAnswer(
        access_token=signed_in.issued.token,
        expires_in=signed_in.issued.expires_in_s,
        refresh_token=signed_in.refresh_token,
        session_id=signed_in.session.id,
        user_id=signed_in.session.user_id,
        account_id=signed_in.session.account_id,
    )

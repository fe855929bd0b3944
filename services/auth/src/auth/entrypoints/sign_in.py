"""Registering, signing in, refreshing, signing out."""

from typing import Annotated

from fastapi import APIRouter, Body, Request

from auth.entrypoints import entering, refreshing
from auth.entrypoints.entering import Login
from auth.entrypoints.parts import ActingDep, PartsDep, SessionCallerDep, forget_sessions, refusals
from auth.errors import RefreshTokenError, RefreshTokenReusedError, TooManyAttemptsError
from auth.schemas.common import StatusAnswer
from auth.schemas.sign_in import LoginRequest, LogoutRequest, RefreshRequest, RegisterRequest, TokensAnswer
from auth.service import messages, sessions
from auth.service.sessions import Refused, SignedIn

router = APIRouter(prefix="/auth", tags=["sign-in"])


@router.post("/register", status_code=201, summary="Register with e-mail and password", responses=refusals(429, 503))
async def register(request: Request, body: RegisterRequest, parts: PartsDep) -> StatusAnswer:
    """The answer is the same whether the address is known or not; sign in to learn your ids."""
    proof = None if body.proof is None else body.proof.get_secret_value()
    await entering.sign_up(parts, request, body.email, body.password.get_secret_value(), proof=proof)
    return StatusAnswer()


@router.post("/login", summary="Sign in with e-mail and password", responses=refusals(401, 429, 503))
async def login(request: Request, body: LoginRequest, parts: PartsDep) -> TokensAnswer:
    return tokens_of(await entering.sign_in(parts, request, login_of(body)))


@router.post("/refresh", summary="Exchange a refresh token for new tokens", responses=refusals(401))
async def refresh(body: RefreshRequest, parts: PartsDep) -> TokensAnswer:
    """Each refresh token works once; using one again ends the session, except within 10 seconds of its first use."""
    outcome = await refreshing.refresh(parts, body.refresh_token.get_secret_value())
    if isinstance(outcome, Refused):
        if outcome.reused:
            raise RefreshTokenReusedError("This refresh token was used before; the session has been ended.")
        raise RefreshTokenError("This refresh token is not valid; sign in again.")
    return tokens_of(outcome)


@router.post("/logout", summary="End this session, or all of them", responses=refusals(401, 403, 404))
async def logout(
    parts: PartsDep, acting: ActingDep, body: Annotated[LogoutRequest | None, Body()] = None
) -> StatusAnswer:
    async with parts.database.transaction() as session:
        if body is not None and body.all:
            ended = await sessions.log_out_everywhere(session, acting, clock=parts.clock)
        else:
            ended = await sessions.end_session(session, acting, acting.session_id, clock=parts.clock)
    forget_sessions(parts, ended)
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


def login_of(body: LoginRequest) -> Login:
    code = None if body.code is None else body.code.get_secret_value()
    return Login(body.email, body.password.get_secret_value(), code)


def tokens_of(signed_in: SignedIn) -> TokensAnswer:
    return TokensAnswer(
        access_token=signed_in.issued.token,
        expires_in=signed_in.issued.expires_in_s,
        refresh_token=signed_in.refresh_token,
        session_id=signed_in.session.id,
        user_id=signed_in.session.user_id,
        account_id=signed_in.session.account_id,
    )

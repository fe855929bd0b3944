"""Signing in at the paths of older clients, which know one token and no refreshing."""

from fastapi import APIRouter, Request

from auth.domain.access import SESSION_DAYS
from auth.entrypoints import entering
from auth.entrypoints.parts import PartsDep, refusals
from auth.entrypoints.sign_in import login_of
from auth.schemas.browser import OneTokenAnswer
from auth.schemas.sign_in import LoginRequest
from auth.service import session_keys
from auth.service.sessions import SignedIn

router = APIRouter(tags=["clients that exist"])


@router.post("/login", summary="Sign in and get one token", responses=refusals(401, 429, 503))
async def login(request: Request, body: LoginRequest, parts: PartsDep) -> OneTokenAnswer:
    """Where the operator allows it, the token is a session key: good for 30 days, ended by `/auth/revoke` or like any
    session. Elsewhere it is an access token of 10 minutes, with a refresh token beside it.
    """
    signed_in = await entering.sign_in(parts, request, login_of(body))
    if not parts.session_keys:
        return _answer(signed_in, signed_in.issued.token, signed_in.issued.expires_in_s, signed_in.refresh_token)
    async with parts.database.transaction() as session:
        key = await session_keys.make_session_key(session, signed_in.session)
    return _answer(signed_in, key, SESSION_DAYS * 86_400, None)


def _answer(signed_in: SignedIn, token: str, expires_in: int, refresh_token: str | None) -> OneTokenAnswer:
    return OneTokenAnswer(
        token=token,
        access_token=token,
        expires_in=expires_in,
        refresh_token=refresh_token,
        session_id=signed_in.session.id,
        user_id=signed_in.session.user_id,
        account_id=signed_in.session.account_id,
    )

"""Token revocation (RFC 7009): for who has the token only, such as a program whose access token is too old."""

from typing import Final

from fastapi import APIRouter, Request

from auth.domain.audit import Actor
from auth.entrypoints.oauth.speaking import OAuthRoute, form_body, oauth_refusals, read_form
from auth.entrypoints.parts import PartsDep, forget_sessions, network_of
from auth.schemas.common import StatusAnswer
from auth.service import session_keys, sessions

router = APIRouter(prefix="/auth", tags=["sign-in"], route_class=OAuthRoute)

_FORM: Final = form_body(("token",), token="a refresh token or a session key", token_type_hint="not needed")  # noqa: S106


@router.post(
    "/revoke",
    summary="End the session of a refresh token or a session key",
    responses=oauth_refusals(400),
    openapi_extra=_FORM,
)
async def revoke(request: Request, parts: PartsDep) -> StatusAnswer:
    """The answer is the same for tokens that are unknown, used or over already, as RFC 7009 asks."""
    token = (await read_form(request)).need("token")
    actor = Actor(kind="anybody", network=network_of(request, parts.trusted_proxies))
    async with parts.database.transaction() as session:
        ended = await sessions.revoke_refresh_token(session, token, by=actor, clock=parts.clock)
        ended += await session_keys.end_by_key(session, token, by=actor, clock=parts.clock)
    forget_sessions(parts, ended)
    return StatusAnswer()

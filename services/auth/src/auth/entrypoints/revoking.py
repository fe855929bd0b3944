"""Token revocation (RFC 7009): for who has the refresh token only, such as a program whose access token is too old."""

from typing import Any, Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Request

from auth.domain.audit import Actor
from auth.entrypoints.parts import PartsDep, forget_sessions, network_of, refusals
from auth.schemas.common import StatusAnswer
from auth.service import sessions
from kit.errors import InvalidError

router = APIRouter(prefix="/auth", tags=["sign-in"])

_FORM_MOST_BYTES: Final = 8192
_FORM: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["token"],
                    "properties": {"token": {"type": "string"}, "token_type_hint": {"type": "string"}},
                }
            }
        },
    }
}


@router.post("/revoke", summary="End the session of a refresh token", responses=refusals(429), openapi_extra=_FORM)
async def revoke(request: Request, parts: PartsDep) -> StatusAnswer:
    """The answer is the same for tokens that are unknown, used or over already, as RFC 7009 asks."""
    body = await request.body()
    form = parse_qs(body.decode(errors="replace")) if len(body) <= _FORM_MOST_BYTES else {}
    if "token" not in form:
        raise InvalidError("The form has no `token`.", field="token")
    token = form["token"][0]
    actor = Actor(kind="anybody", network=network_of(request, parts.trusted_proxies))
    async with parts.database.transaction() as session:
        ended = await sessions.revoke_refresh_token(session, token, by=actor, clock=parts.clock)
    forget_sessions(parts, ended)
    return StatusAnswer()

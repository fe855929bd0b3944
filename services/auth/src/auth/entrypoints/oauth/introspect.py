"""What a token stands for (RFC 7662)."""

from typing import Any, Final

from fastapi import APIRouter, Request

from auth.domain.clients import Client
from auth.entrypoints.oauth.speaking import Form, OAuthRoute, authenticated, form_body, oauth_refusals, read_form
from auth.entrypoints.parts import Parts, PartsDep
from auth.errors import OAuthError
from auth.schemas.oauth import IntrospectionAnswer, RefusalAnswer
from auth.service.oauth import introspecting
from auth.service.oauth.introspecting import Standing
from kit.errors import UnauthenticatedError
from kit.http import PROBLEM_TYPE
from kit.identity import Identity
from kit.tokens import AUDIENCE, could_be_token

router = APIRouter(prefix="/auth", tags=["programs"], route_class=OAuthRoute)

_FORM: Final = form_body(
    ("token",),
    token="an access token, a refresh token or a session key",  # noqa: S106  # a description
    token_type_hint="not needed",  # noqa: S106
)
# A program is refused as RFC 6749 says, whoever comes with a token as everywhere else.
_NOT_ASKING: Final[dict[str, Any]] = {
    "model": RefusalAnswer,
    "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_INACTIVE: Final = IntrospectionAnswer(active=False)


@router.post(
    "/introspect",
    summary="Whether a token is good now, and what it stands for",
    responses={**oauth_refusals(400), 401: _NOT_ASKING},
    response_model_exclude_none=True,
    openapi_extra=_FORM,
)
async def introspect(request: Request, parts: PartsDep) -> IntrospectionAnswer:
    """For services (a service token) and confidential programs (their secret), which learn of their own tokens only."""
    client = await _asker(request, parts)
    form = await read_form(request)
    standing = await _standing(request.app.state.identity, parts, form.need("token"))
    if standing is None or (client is not None and standing.client_id != client.id):
        return _INACTIVE
    return IntrospectionAnswer(
        active=True,
        scope=standing.scope,
        client_id=standing.client_id,
        token_type="Bearer" if standing.kind != "refresh_token" else standing.kind,  # a scheme
        exp=int(standing.expires_at.timestamp()),
        sub=standing.user_id,
        aud=AUDIENCE,
        iss=parts.public_url,
        account=standing.account_id,
        sid=standing.session_id,
    )


async def _asker(request: Request, parts: Parts) -> Client | None:
    """None for a service of ours; raises `UnauthenticatedError` or `OAuthError` for everybody who is nobody."""
    scheme = request.headers.get("authorization", "").partition(" ")[0].lower()
    form = await read_form(request) if scheme != "bearer" else Form({})
    if scheme != "basic" and not form.get("client_secret"):
        identity: Identity = request.app.state.identity
        await identity.service(request)
        return None
    async with parts.database.reading() as session:
        client = await authenticated(request, form, session, parts.programs)
    if client.secret_hash is None:
        raise OAuthError("invalid_client", "A program without a secret may not ask.", status=401)
    return client


async def _standing(identity: Identity, parts: Parts, token: str) -> Standing | None:
    now = parts.clock.now()
    if not could_be_token(token):
        async with parts.database.transaction() as session:
            return await introspecting.standing_of_session_token(session, token, now=now)
    try:
        caller = await identity.of_token(token)
    except UnauthenticatedError:
        return None
    async with parts.database.reading() as session:
        return await introspecting.standing_of_caller(session, caller, now=now)

"""The token endpoint: one route, and a table of what may be exchanged for tokens there."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from fastapi import APIRouter, Request

from auth.entrypoints import token_exchange
from auth.entrypoints.oauth.speaking import Form, OAuthRoute, authenticated, form_body, oauth_refusals, read_form
from auth.entrypoints.parts import Parts, PartsDep, device_of, forget_sessions, network_of, refusals
from auth.entrypoints.refreshing import refresh
from auth.errors import OAuthError
from auth.schemas.oauth import ProgramTokensAnswer
from auth.service.oauth import tokens
from auth.service.oauth.tokens import Asking, NotYet, Outcome
from auth.service.sessions import Refused

router = APIRouter(prefix="/auth", tags=["programs"], route_class=OAuthRoute)

_FORM: Final = form_body(
    ("grant_type",),
    grant_type="which of the grants below",
    client_id="the program, unless a header says who it is",
    client_secret="of a confidential program, unless a header says it",  # noqa: S106  # a description
    code="`authorization_code`: what the redirect brought",
    redirect_uri="`authorization_code`: the same as was asked with",
    code_verifier="`authorization_code`: what the challenge was made of (RFC 7636)",
    refresh_token="`refresh_token`: the newest one",  # noqa: S106  # a description
    subject_token="`urn:ietf:params:oauth:grant-type:token-exchange`: a JWT of a trusted issuer (RFC 8693)",  # noqa: S106
    subject_token_type="of the subject token",  # noqa: S106
    requested_token_type="that of an access token",  # noqa: S106
    audience="ours",
    resource="our address",
    device_code="`urn:ietf:params:oauth:grant-type:device_code`: of `POST /auth/device` (RFC 8628)",
)


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A request for tokens, as the grants read it."""

    request: Request
    form: Form
    parts: Parts


Grant = Callable[[TokenRequest], Awaitable[ProgramTokensAnswer]]


@router.post(
    "/token",
    summary="Exchange a code, a device's code or a refresh token for tokens",
    responses={**oauth_refusals(400, 401), **refusals(429, 503)},
    response_model_exclude_none=True,
    openapi_extra=_FORM,
)
async def token(request: Request, parts: PartsDep) -> ProgramTokensAnswer:
    """RFC 6749, RFC 7636, RFC 8628 and RFC 8693. Refusals are `error` and `error_description`."""
    form = await read_form(request)
    grant = GRANTS.get(form.need("grant_type"))
    if grant is None:
        raise OAuthError("unsupported_grant_type", f"grant_type is one of: {', '.join(GRANTS)}.")
    return await grant(TokenRequest(request, form, parts))


async def _code(asked: TokenRequest) -> ProgramTokensAnswer:
    code, verifier = asked.form.need("code"), asked.form.need("code_verifier")
    redirect_uri, parts = asked.form.need("redirect_uri"), asked.parts
    asking = await _asking(asked)
    async with parts.database.transaction() as session:
        outcome = await tokens.exchange_code(
            session, asking, code, redirect_uri=redirect_uri, verifier=verifier, clock=parts.clock
        )
    return _answer(parts, outcome)


async def _device(asked: TokenRequest) -> ProgramTokensAnswer:
    code, parts = asked.form.need("device_code"), asked.parts
    asking = await _asking(asked)
    async with parts.database.transaction() as session:
        outcome = await tokens.exchange_device_code(session, asking, code, clock=parts.clock)
    return _answer(parts, outcome)


async def _refresh(asked: TokenRequest) -> ProgramTokensAnswer:
    refresh_token = asked.form.need("refresh_token")
    asking = await _asking(asked)
    if not set(asked.form.get("scope").split()) <= set(asking.client.scopes):
        raise OAuthError("invalid_scope", f"This program may ask for: {' '.join(asking.client.scopes)}.")
    outcome = await refresh(asked.parts, refresh_token, client_id=asking.client.id)
    return _answer(asked.parts, NotYet("invalid_grant") if isinstance(outcome, Refused) else outcome)


async def _exchange(asked: TokenRequest) -> ProgramTokensAnswer:
    return await token_exchange.exchange_token(asked.request, asked.form, asked.parts)


async def _asking(asked: TokenRequest) -> Asking:
    parts, signer = asked.parts, await asked.parts.ring.signer()
    async with parts.database.reading() as session:
        client = await authenticated(asked.request, asked.form, session, parts.programs)
    network = network_of(asked.request, parts.trusted_proxies)
    return Asking(client=client, device=device_of(asked.request), network=network, signer=signer)


def _answer(parts: Parts, outcome: Outcome) -> ProgramTokensAnswer:
    # Raised after the transaction: what has been ended or counted must be kept.
    if isinstance(outcome, NotYet):
        forget_sessions(parts, outcome.ended)
        raise outcome.raised()
    return ProgramTokensAnswer(
        access_token=outcome.issued.token,
        expires_in=outcome.issued.expires_in_s,
        refresh_token=outcome.refresh_token,
        scope=outcome.session.scope,
    )


GRANTS: Final[Mapping[str, Grant]] = MappingProxyType(
    {
        "authorization_code": _code,
        "refresh_token": _refresh,
        "urn:ietf:params:oauth:grant-type:device_code": _device,
        token_exchange.GRANT_TYPE: _exchange,
    }
)

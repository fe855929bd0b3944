"""The grant of RFC 8693: a token of a trusted outside issuer for one of ours."""

from typing import Final

from fastapi import Request

from auth.adapters import addresses
from auth.adapters.issuer_keys import unverified_issuer
from auth.entrypoints.oauth.speaking import Form
from auth.entrypoints.parts import Parts, network_of
from auth.errors import AddressError, OAuthError, OutsideTokenError, TooManyAttemptsError
from auth.schemas.oauth import ProgramTokensAnswer
from auth.service.exchanging import Exchange, read_claims
from auth.service.recognizing import FirstSight
from kit.errors import DomainError, UnavailableError
from kit.tokens import AUDIENCE

ACCESS_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  # a name
GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_TYPES: Final = "urn:ietf:params:oauth:token-type:"
_SUBJECT_TYPES: Final = frozenset({f"{_TYPES}jwt", f"{_TYPES}id_token", f"{_TYPES}access_token"})
_NOT_SUPPORTED: Final = ("actor_token", "actor_token_type", "scope")


async def exchange_token(request: Request, form: Form, parts: Parts) -> ProgramTokensAnswer:
    """Refusals are those of RFC 8693, 2.2.2; what is worth another try stays what it is."""
    try:
        return await _exchange(request, form, parts)
    except (OAuthError, TooManyAttemptsError, UnavailableError):
        raise
    except DomainError as error:
        raise OAuthError("invalid_request", error.detail) from None


async def _exchange(request: Request, form: Form, parts: Parts) -> ProgramTokensAnswer:
    token = _checked(form, public_url=parts.public_url)
    trusted = parts.trusted_issuers.get(unverified_issuer(token) or "")
    if trusted is None:
        raise OutsideTokenError("The token's issuer is not trusted here.")
    vouched, placed = read_claims(trusted.issuer, await trusted.tokens.claims(token))
    network, now = network_of(request, parts.trusted_proxies), parts.clock.now()
    async with parts.database.transaction() as session:
        await parts.limits.take_exchange(session, issuer=vouched.issuer, subject=vouched.subject, now=now)
    first = FirstSight(
        create=trusted.issuer.create_users,
        address=_parsed(vouched.verified_address, reserved_names=parts.reserved_names),
        activation=parts.activation,
        limits=parts.limits.of_issuer(trusted.issuer.sign_ups_per_hour),
    )
    exchange = Exchange(
        issuer=trusted.issuer, vouched=vouched, placed=placed, first=first, network=network, clock=parts.clock
    )
    signer = await parts.ring.signer()
    async with parts.database.transaction() as session:
        given = await exchange.finish(session, signer=signer)
    return ProgramTokensAnswer(
        access_token=given.issued.token, expires_in=given.issued.expires_in_s, issued_token_type=ACCESS_TOKEN_TYPE
    )


def _checked(form: Form, *, public_url: str) -> str:
    """The subject token; raises `OAuthError` for what RFC 8693 lets us refuse."""
    token = form.get("subject_token")
    if not token:
        raise OAuthError("invalid_request", "The form has no `subject_token`.")
    if form.get("subject_token_type") not in _SUBJECT_TYPES:
        raise OAuthError("invalid_request", "`subject_token_type` must be that of a JWT, ID token or access token.")
    if form.get("requested_token_type") not in ("", ACCESS_TOKEN_TYPE):
        raise OAuthError("invalid_request", "`requested_token_type` can be that of an access token only.")
    if form.get("audience") not in ("", AUDIENCE) or form.get("resource").rstrip("/") not in ("", public_url):
        raise OAuthError("invalid_target", f"Tokens are for the audience {AUDIENCE} at {public_url} only.")
    asked = [name for name in _NOT_SUPPORTED if form.get(name)]
    if asked:
        raise OAuthError("invalid_request", f"`{asked[0]}` is not supported here.")
    return token


def _parsed(address: str | None, *, reserved_names: bool) -> tuple[str, str] | None:
    """An address that we could not write to is none."""
    if address is None:
        return None
    try:
        return addresses.parse(address, reserved_names=reserved_names)
    except AddressError:
        return None

"""Signing in with somebody else, by Authlib: code, PKCE, state and nonce; GitHub's API in place of an ID token."""

import asyncio
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from auth.adapters.issuer_keys import IssuerKeys, IssuerTokens
from auth.domain.outside import SUBJECT_CHARS, Provider, Vouched
from auth.errors import OutsideSignInError, OutsideTokenError
from kit import logging
from kit.clock import Clock
from kit.errors import UnavailableError

log = logging.get(__name__)

_TIMEOUT_S: Final = 5.0
_METADATA_S: Final = 3600.0
_TRY_AGAIN_S: Final = 60.0
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one browser was sent away with, and must come back with."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str


class OutsideProvider:
    """One provider, by discovery (OpenID Connect) or by its known addresses (GitHub)."""

    def __init__(self, provider: Provider, *, http: httpx2.AsyncClient, clock: Clock) -> None:
        self.provider = provider
        self._http = http
        self._clock = clock
        self._metadata: Mapping[str, str] | None = None
        self._metadata_until = float("-inf")
        self._tokens: IssuerTokens | None = None
        self._discovering = asyncio.Lock()

    async def authorization_url(self, asked: Asked) -> str:
        metadata = await self._endpoints()
        async with self._client(asked) as client:
            nonce = {} if self._is_github else {"nonce": asked.nonce}
            url, _ = client.create_authorization_url(
                metadata["authorization_endpoint"], state=asked.state, code_verifier=asked.verifier, **nonce
            )
        return str(url)

    async def vouched(self, asked: Asked, code: str) -> Vouched:
        """Who came back with this code; raises `OutsideSignInError`."""
        metadata = await self._endpoints()
        async with self._client(asked) as client:
            try:
                token = await client.fetch_token(
                    metadata["token_endpoint"], code=code, code_verifier=asked.verifier, redirect_uri=asked.redirect_uri
                )
            except (AuthlibBaseError, ValueError, KeyError) as error:
                raise self._refused(error) from None
            except httpx2.HTTPError as error:
                raise self._away(error) from None
        if self._is_github:
            return await self._of_github(str(token.get("access_token", "")))
        return await self._of_id_token(token.get("id_token"), nonce=asked.nonce)

    @property
    def _is_github(self) -> bool:
        return self.provider.kind == "github"

    def _client(self, asked: Asked) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            client_id=self.provider.client_id,
            client_secret=self.provider.client_secret.get_secret_value(),
            # The form is what GitHub documents; Basic is what OpenID providers have to take.
            token_endpoint_auth_method="client_secret_post" if self._is_github else "client_secret_basic",
            scope=" ".join(self.provider.scopes),
            redirect_uri=asked.redirect_uri,
            code_challenge_method="S256",
            timeout=_TIMEOUT_S,
            follow_redirects=False,
        )

    async def _of_id_token(self, id_token: object, *, nonce: str) -> Vouched:
        if not isinstance(id_token, str) or self._tokens is None:
            raise OutsideSignInError("The provider gave no ID token.")
        try:
            claims = await self._tokens.claims(id_token)
        except OutsideTokenError as error:
            raise self._refused(error) from None
        if not hmac.compare_digest(str(claims.get("nonce")).encode(), nonce.encode()):
            raise OutsideSignInError("The provider's answer is for another sign-in.")
        address = claims.get("email") if claims.get("email_verified") is True else None
        return self._vouched(claims["sub"], address)

    async def _of_github(self, access_token: str) -> Vouched:
        user = await self._github("/user", access_token)
        listed = await self._github("/user/emails", access_token)
        subject = user.get("id") if isinstance(user, dict) else None
        if not isinstance(subject, int) or not isinstance(listed, list):
            raise OutsideSignInError("The provider did not say who this is.")
        primary = [one for one in listed if isinstance(one, dict) and one.get("primary") is True]
        verified = [one.get("email") for one in primary if one.get("verified") is True]
        return self._vouched(str(subject), verified[0] if verified else None)

    async def _github(self, path: str, access_token: str) -> Any:
        headers = {"authorization": f"Bearer {access_token}", "accept": "application/vnd.github+json"}
        try:
            answer = await self._http.get(f"{self.provider.api_url}{path}", headers=headers, timeout=_TIMEOUT_S)
            answer.raise_for_status()
            return answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise self._away(error) from None

    def _vouched(self, subject: str, address: object) -> Vouched:
        if len(subject) > SUBJECT_CHARS or "\x00" in subject:
            raise OutsideSignInError("The provider's name for this person is too long.")
        return Vouched(
            provider=self.provider.name,
            issuer=self.provider.issuer,
            subject=subject,
            verified_address=address if isinstance(address, str) else None,
        )

    async def _endpoints(self) -> Mapping[str, str]:
        if self._is_github:
            login = f"{self.provider.issuer}/login/oauth"
            return {"authorization_endpoint": f"{login}/authorize", "token_endpoint": f"{login}/access_token"}
        async with self._discovering:
            if self._metadata is None or self._clock.monotonic() > self._metadata_until:
                await self._discover()
        assert self._metadata is not None
        return self._metadata

    async def _discover(self) -> None:
        issuer = self.provider.issuer
        try:
            answer = await self._http.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration", timeout=_TIMEOUT_S)
            answer.raise_for_status()
            found = _checked_metadata(answer.json(), issuer=issuer)
        except (httpx2.HTTPError, ValueError) as error:
            if self._metadata is None:
                raise self._away(error) from None
            self._metadata_until = self._clock.monotonic() + _TRY_AGAIN_S
            log.warning("auth.provider_not_discovered", provider=self.provider.name, reason=type(error).__name__)
            return
        if self._tokens is None or found["jwks_uri"] != (self._metadata or {}).get("jwks_uri"):
            keys = IssuerKeys(found["jwks_uri"], http=self._http, clock=self._clock)
            self._tokens = IssuerTokens(
                keys,
                issuer=issuer,
                audience=self.provider.client_id,
                algorithms=self.provider.algorithms,
                clock=self._clock,
            )
        self._metadata, self._metadata_until = found, self._clock.monotonic() + _METADATA_S

    def _refused(self, error: Exception) -> OutsideSignInError:
        reason = getattr(error, "error", None) or type(error).__name__
        log.info("auth.provider_refused", provider=self.provider.name, reason=str(reason)[:100])
        return OutsideSignInError("The provider did not confirm this sign-in; begin again.")

    def _away(self, error: Exception) -> UnavailableError:
        log.warning("auth.provider_away", provider=self.provider.name, reason=type(error).__name__)
        return UnavailableError("The provider does not answer; try again.", retry_after_s=5)


def _checked_metadata(document: Any, *, issuer: str) -> Mapping[str, str]:
    """What a discovery document says, if it is this issuer's own and leads nowhere less safe than it."""
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise ValueError("the discovery document names another issuer")
    found = {name: document.get(name) for name in _ENDPOINTS}
    scheme = urlsplit(issuer).scheme
    for name, address in found.items():
        if not isinstance(address, str) or urlsplit(address).scheme not in ("https", scheme):
            raise ValueError(f"the discovery document has no usable {name}")
    return {name: str(address) for name, address in found.items()}

"""An outside issuer's public keys over HTTP, and the tokens that they sign: algorithm pinned, every claim checked."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx2
import jwt

from auth.domain.outside import TrustedIssuer
from auth.errors import OutsideTokenError
from kit import logging
from kit.clock import Clock
from kit.errors import UnavailableError

log = logging.get(__name__)

_FRESH_S: Final = 300.0
_MISS_S: Final = 5.0
_TIMEOUT_S: Final = 4.0
_TOKEN_MOST_CHARS: Final = 16_384
_LEEWAY_S: Final = 30.0
_END_OF_TIME: Final = 1 << 37


class IssuerKeys:
    """Cached, one fetch at a time; the last good set is kept while the issuer is away.

    A key that is known is never waited for: an old set serves while the next one is fetched.
    """

    def __init__(self, url: str, *, http: httpx2.AsyncClient, clock: Clock) -> None:
        self._url = url
        self._http = http
        self._clock = clock
        self._keys: list[jwt.PyJWK] = []
        self._fresh_until = float("-inf")
        self._ask_again = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, key_id: str | None, *, algorithm: str) -> jwt.PyJWK | None:
        """The key that this id names; for a token without an id, the only one that there is."""
        now = self._clock.monotonic()
        found = self._find(key_id, algorithm)
        if found is None and now > self._ask_again:
            # Shielded: one caller who leaves must not fail the others.
            await asyncio.shield(self._start_fetch())
            found = self._find(key_id, algorithm)
        elif now > max(self._fresh_until, self._ask_again):
            self._start_fetch()
        if not self._keys:
            raise UnavailableError("The outside issuer does not answer; try again.", retry_after_s=5)
        return found

    def _find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        fitting = [key for key in self._keys if key.algorithm_name == algorithm]
        if key_id is None:
            return fitting[0] if len(fitting) == 1 else None
        return next((key for key in fitting if key.key_id == key_id), None)

    def _start_fetch(self) -> asyncio.Task[None]:
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch())
        return self._fetching

    async def _fetch(self) -> None:
        self._ask_again = self._clock.monotonic() + _MISS_S
        try:
            answer = await self._http.get(self._url, timeout=_TIMEOUT_S)
            answer.raise_for_status()
            keys = jwt.PyJWKSet.from_dict(answer.json()).keys
        except (httpx2.HTTPError, ValueError, TypeError, AttributeError, jwt.PyJWTError) as error:
            log.warning("auth.issuer_keys_not_fetched", url=self._url, reason=type(error).__name__)
            return
        self._keys = [key for key in keys if key.public_key_use in (None, "sig")]
        self._fresh_until = self._clock.monotonic() + _FRESH_S


class IssuerTokens:
    """Reads the tokens of one issuer that are meant for one audience."""

    def __init__(
        self, keys: IssuerKeys, *, issuer: str, audience: str, algorithms: Sequence[str], clock: Clock
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._algorithms = algorithms
        self._clock = clock

    async def claims(self, token: str) -> Mapping[str, Any]:
        """Raises `OutsideTokenError`, whose reason holds no part of the token."""
        header = _header(token)
        algorithm = header.get("alg")
        if algorithm not in self._algorithms:
            raise OutsideTokenError("The token is signed with an algorithm that this issuer is not known to use.")
        key = await self._keys.key(_text(header.get("kid")), algorithm=str(algorithm))
        if key is None:
            raise OutsideTokenError("The token is signed with a key that the issuer does not publish.")
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[str(algorithm)],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": ["exp", "iat", "iss", "aud", "sub"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except jwt.PyJWTError as error:
            raise OutsideTokenError(f"The token is not valid: {type(error).__name__}.") from None
        self._check_times(claims)
        _check_party(claims, self._audience)
        return claims

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        # Checked here and not by PyJWT, because time comes from the injected clock.
        now = self._clock.now().timestamp()
        times = {name: claims[name] for name in ("exp", "iat", "nbf") if name in claims}
        if not all(_is_instant(one) for one in times.values()):
            raise OutsideTokenError("The token's times are not numbers.")
        if times["exp"] + _LEEWAY_S <= now:
            raise OutsideTokenError("The token has expired.")
        if max(times["iat"], times.get("nbf", 0)) - _LEEWAY_S > now:
            raise OutsideTokenError("The token is from the future.")


@dataclass(frozen=True, slots=True)
class Trusted:
    """An issuer whose tokens are exchanged, and what reads them."""

    issuer: TrustedIssuer
    tokens: IssuerTokens


def trusted_issuers(
    issuers: Sequence[TrustedIssuer], *, http: httpx2.AsyncClient, clock: Clock
) -> Mapping[str, Trusted]:
    """By the `iss` of their tokens."""
    return {
        one.issuer: Trusted(
            one,
            IssuerTokens(
                IssuerKeys(one.jwks_url, http=http, clock=clock),
                issuer=one.issuer,
                audience=one.audience,
                algorithms=one.algorithms,
                clock=clock,
            ),
        )
        for one in issuers
    }


def unverified_issuer(token: str) -> str | None:
    """Whose token this claims to be; nothing is believed before its signature."""
    _header(token)
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        raise OutsideTokenError("The token cannot be read.") from None
    return _text(claims.get("iss"))


def _header(token: str) -> Mapping[str, Any]:
    if len(token) > _TOKEN_MOST_CHARS:
        raise OutsideTokenError("The token is too long.")
    try:
        header: Mapping[str, Any] = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, UnicodeError):
        raise OutsideTokenError("The token cannot be read.") from None
    if "crit" in header:
        raise OutsideTokenError("The token's header asks for something that is not understood.")
    return header


def _check_party(claims: Mapping[str, Any], audience: str) -> None:
    """A token for several parties must name us as the one it was given to (OpenID Connect Core 3.1.3.7)."""
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    party = claims.get("azp")
    if several and party is None:
        raise OutsideTokenError("The token is for several parties and does not say which it was given to.")
    if several and party != audience:
        raise OutsideTokenError("The token was given to another party.")
    if not isinstance(claims["sub"], str) or not claims["sub"]:
        raise OutsideTokenError("The token names no subject.")


def _is_instant(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _END_OF_TIME


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None

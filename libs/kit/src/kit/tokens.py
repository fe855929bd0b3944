"""Verifying the tokens that auth issues: one algorithm, every claim checked, keys cached (RFC 9068)."""

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from uuid import UUID

import httpx2
import jwt

from kit import logging
from kit.clock import Clock
from kit.errors import UnauthenticatedError, UnavailableError

log = logging.get(__name__)

ALGORITHM: Final = "EdDSA"
TOKEN_TYPE: Final = "at+jwt"  # noqa: S105  # a media type
AUDIENCE: Final = "faregate"
STEPPED_UP: Final = "step-up"
"""The `acr` of a token that was given for a fresh proof of password and second factor."""
LEEWAY_S: Final = 5
_REQUIRED: Final = ["exp", "iat", "iss", "aud", "sub", "jti"]
_JWKS_TTL_S: Final = 300.0
_MISS_REFRESH_S: Final = 2.0
_FAILED_REFRESH_S: Final = 0.5
_CACHED_TOKENS: Final = 20_000
_MAX_TOKEN_CHARS: Final = 4096
_END_OF_TIME: Final = 1 << 37
# Header, claims and the 64 bytes of an Ed25519 signature; a header of ours has three short members.
_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]{20,300}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{86}", re.ASCII)
_HEADER_MEMBERS: Final = frozenset({"alg", "typ", "kid"})


class InvalidTokenError(UnauthenticatedError):
    code = "invalid_token"


class ExpiredTokenError(UnauthenticatedError):
    code = "token_expired"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, as a verified token says. `plan` is for display only."""

    user_id: UUID
    account_id: UUID
    role: str
    operator: bool
    session_id: UUID | None
    api_key_id: UUID | None
    project_id: UUID | None
    plan: str | None
    scopes: tuple[str, ...]
    expires_at: datetime
    stepped_up: bool = False
    """Whether password and second factor were proved for this very token."""


class KeySource(Protocol):
    """Where public keys come from."""

    async def key(self, key_id: str) -> jwt.PyJWK | None: ...


class JwksClient:
    """Auth's public keys over HTTP: cached, one fetch at a time, the last good set kept when auth is away.

    A key that is known is never waited for: an old set serves while the next one is fetched.
    """

    def __init__(self, url: str, *, http: httpx2.AsyncClient, clock: Clock) -> None:
        self._url = url
        self._http = http
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._next_fetch = float("-inf")
        self._next_miss = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, key_id: str) -> jwt.PyJWK | None:
        now = self._clock.monotonic()
        known = self._keys.get(key_id)
        if known is not None:
            if now > self._next_fetch:
                self._start_fetch()
            return known
        if now > self._next_miss:
            # Shielded: one caller who leaves must not fail the others.
            await asyncio.shield(self._start_fetch())
        if not self._keys:
            raise UnavailableError("The sign-in service does not answer; try again.", retry_after_s=2)
        return self._keys.get(key_id)

    def _start_fetch(self) -> asyncio.Task[None]:
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch())
        return self._fetching

    async def _fetch(self) -> None:
        try:
            answer = await self._http.get(self._url, timeout=3.0)
            answer.raise_for_status()
            keys = jwt.PyJWKSet.from_dict(answer.json()).keys
        except (httpx2.HTTPError, ValueError, TypeError, AttributeError, jwt.PyJWTError) as error:
            log.warning("kit.jwks_not_fetched", reason=type(error).__name__)
            pause_s = _MISS_REFRESH_S if self._keys else _FAILED_REFRESH_S
            self._next_fetch = self._next_miss = self._clock.monotonic() + pause_s
            return
        self._keys = {key.key_id: key for key in keys if key.key_id}
        self._next_miss = self._clock.monotonic() + _MISS_REFRESH_S
        self._next_fetch = self._clock.monotonic() + _JWKS_TTL_S


class TokenVerifier:
    """Verifies access and service tokens; the last `cached` ones are remembered until they expire."""

    def __init__(self, keys: KeySource, *, issuer: str, clock: Clock, cached: int = _CACHED_TOKENS) -> None:
        self._keys = keys
        self._most_cached = cached
        self._issuer = issuer
        self._clock = clock
        self._verified: OrderedDict[bytes, tuple[float, Mapping[str, Any]]] = OrderedDict()

    async def caller(self, token: str) -> Caller:
        """The caller of an access token; raises `UnauthenticatedError`, whose reason holds no part of the token."""
        return _caller(await self.claims(token, audience=AUDIENCE))

    async def service(self, token: str, *, audience: str) -> str:
        """The name of the service that a service token speaks for."""
        subject = str((await self.claims(token, audience=f"service:{audience}"))["sub"])
        kind, _, name = subject.partition(":")
        if kind != "service":
            raise InvalidTokenError("The token does not speak for a service.")
        return name

    async def claims(self, token: str, *, audience: str) -> Mapping[str, Any]:
        if len(token) > _MAX_TOKEN_CHARS:
            raise InvalidTokenError("The token is too long.")
        digest = hashlib.sha256(f"{audience} {token}".encode(errors="replace")).digest()
        cached = self._verified.get(digest)
        now = self._clock.now().timestamp()
        if cached is not None:
            if cached[0] + LEEWAY_S <= now:
                raise ExpiredTokenError("The token has expired.")
            return cached[1]
        claims = await self._decode(token, audience=audience)
        self._verified[digest] = (float(claims["exp"]), claims)
        if len(self._verified) > self._most_cached:
            self._verified.popitem(last=False)
        return claims

    async def _decode(self, token: str, *, audience: str) -> Mapping[str, Any]:
        key = await self._keys.key(_key_id(token))
        if key is None:
            raise InvalidTokenError("The token is signed with a key that we do not know.")
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=audience,
                issuer=self._issuer,
                options={"require": _REQUIRED, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except jwt.PyJWTError as error:
            raise InvalidTokenError(f"The token is not valid: {type(error).__name__}.") from None
        self._check_times(claims)
        return claims

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        # Checked here and not by PyJWT, because time comes from the injected clock.
        now = self._clock.now().timestamp()
        times = [claims[name] for name in ("exp", "iat")]
        if not all(isinstance(one, int | float) and 0 < one < _END_OF_TIME for one in times):
            raise InvalidTokenError("The token's times are not numbers.")
        if claims["exp"] + LEEWAY_S <= now:
            raise ExpiredTokenError("The token has expired.")
        if claims["iat"] - 60 > now:
            raise InvalidTokenError("The token is from the future.")


def could_be_token(text: str) -> bool:
    """Whether this has the form of a token of ours; what has not is refused without any arithmetic."""
    return len(text) <= _MAX_TOKEN_CHARS and _SHAPE.fullmatch(text) is not None


def _key_id(token: str) -> str:
    if not could_be_token(token):
        raise InvalidTokenError("The token cannot be read.")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise InvalidTokenError("The token cannot be read.") from None
    key_id = header.get("kid")
    # Any other member (`jku`, `jwk`, `x5u`, `crit`, `b64`) is somebody else's idea of how to verify.
    ours = header.keys() <= _HEADER_MEMBERS and header.get("alg") == ALGORITHM and header.get("typ") == TOKEN_TYPE
    if not ours or not isinstance(key_id, str):
        raise InvalidTokenError("The token's header is not one of ours.")
    return key_id


def _caller(claims: Mapping[str, Any]) -> Caller:
    try:
        return Caller(
            user_id=UUID(claims["sub"]),
            account_id=UUID(claims["account"]),
            role=str(claims["role"]),
            operator=claims.get("operator") is True,
            session_id=_uuid(claims.get("sid")),
            api_key_id=_uuid(claims.get("api_key")),
            project_id=_uuid(claims.get("project")),
            plan=claims.get("plan"),
            scopes=tuple(str(claims.get("scope", "")).split()),
            expires_at=datetime.fromtimestamp(claims["exp"], tz=UTC),
            stepped_up=claims.get("acr") == STEPPED_UP,
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        raise InvalidTokenError("The token lacks a claim.") from None


def _uuid(value: object) -> UUID | None:
    return None if value is None else UUID(str(value))

"""Verifying the tokens that auth issues: one algorithm, every claim checked, keys cached (RFC 9068)."""

import asyncio
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

import httpx2
import jwt
import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kit import logging
from kit.clock import Clock
from kit.errors import UnauthenticatedError, UnavailableError

T = TypeVar("T")

log = logging.get(__name__)

ALGORITHM: Final = "EdDSA"
TOKEN_TYPE: Final = "at+jwt"  # noqa: S105  # a media type
AUDIENCE: Final = "faregate"
STEPPED_UP: Final = "step-up"
"""The `acr` of a token that was given for a fresh proof of password and second factor."""
LEEWAY_S: Final = 5
_JWKS_TTL_S: Final = 300.0
_MISS_REFRESH_S: Final = 2.0
_FAILED_REFRESH_S: Final = 0.5
_CACHED_TOKENS: Final = 20_000
_MOST_HEADERS: Final = 64
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
    actor_id: UUID | None = None
    """The operator who looks at things as this user (RFC 8693, `act`); such a token changes nothing."""
    client_id: str | None = None
    """The program that the user let in, when it is not our own; such a one never has an operator's rights."""

    def may_ask(self, path: str) -> bool:
        """Whether the routes that the token is bounded to, if it is, hold this path; a route holds what is below it."""
        routes = [one.removeprefix("route:") for one in self.scopes if one.startswith("route:")]
        return not routes or any(path == one or path.startswith(f"{one}/") for one in routes)


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
        self._callers: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()
        self._claims: OrderedDict[bytes, tuple[float, Mapping[str, Any]]] = OrderedDict()
        self._headers: dict[str, str] = {}

    async def caller(self, token: str) -> Caller:
        """The caller of an access token; raises `UnauthenticatedError`, whose reason holds no part of the token."""
        if not self._most_cached:
            return _caller(await self._decode(token, audience=AUDIENCE))
        digest = _digest(token)
        known = self._callers.get(digest)
        if known is not None:
            if known[0] <= self._clock.now().timestamp():
                raise ExpiredTokenError("The token has expired.")
            return known[1]
        claims = await self._decode(token, audience=AUDIENCE)
        caller = _caller(claims)
        self._remember(self._callers, digest, (claims["exp"] + LEEWAY_S, caller))
        return caller

    async def service(self, token: str, *, audience: str) -> str:
        """The name of the service that a service token speaks for."""
        subject = str((await self.claims(token, audience=f"service:{audience}"))["sub"])
        kind, _, name = subject.partition(":")
        if kind != "service":
            raise InvalidTokenError("The token does not speak for a service.")
        return name

    async def claims(self, token: str, *, audience: str) -> Mapping[str, Any]:
        """What a token for this audience says."""
        digest = _digest(token, audience)
        known = self._claims.get(digest)
        if known is not None:
            if known[0] <= self._clock.now().timestamp():
                raise ExpiredTokenError("The token has expired.")
            return known[1]
        claims = await self._decode(token, audience=audience)
        self._remember(self._claims, digest, (claims["exp"] + LEEWAY_S, claims))
        return claims

    def _remember(self, known: OrderedDict[bytes, T], digest: bytes, found: T) -> None:
        if self._most_cached:
            known[digest] = found
        if len(known) > self._most_cached:
            known.popitem(last=False)

    async def _decode(self, token: str, *, audience: str) -> Mapping[str, Any]:
        """By hand, for one algorithm and one form: PyJWT takes as long again as the signature does."""
        if not could_be_token(token):
            raise InvalidTokenError("The token cannot be read.")
        header, payload, signature = token.split(".")
        key = await self._keys.key(self._key_id(header))
        if key is None or not isinstance(key.key, Ed25519PublicKey):
            raise InvalidTokenError("The token is signed with a key that we do not know.")
        try:
            key.key.verify(_signature(signature), token[: -len(signature) - 1].encode())
        except InvalidSignature:
            raise InvalidTokenError("The token's signature is wrong.") from None
        claims = _object(payload)
        self._check_claims(claims, audience=audience)
        self._check_times(claims)
        return claims

    def _key_id(self, header: str) -> str:
        """Read once: all tokens under a key begin alike. Bounded, for anybody can make up another beginning."""
        found = self._headers.get(header)
        if found is None:
            found = _key_id(header)
            if len(self._headers) >= _MOST_HEADERS:
                self._headers.clear()
            self._headers[header] = found
        return found

    def _check_claims(self, claims: Mapping[str, Any], *, audience: str) -> None:
        if not (isinstance(claims.get("sub"), str) and isinstance(claims.get("jti"), str)):
            raise InvalidTokenError("The token lacks a claim.")
        if claims.get("iss") != self._issuer:
            raise InvalidTokenError("The token is of another issuer.")
        if claims.get("aud") != audience:
            raise InvalidTokenError("The token is for another audience.")

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self._clock.now().timestamp()
        expires, issued = claims.get("exp", 0), claims.get("iat", 0)
        if not (_is_time(expires) and _is_time(issued)):
            raise InvalidTokenError("The token's times are not numbers.")
        if expires + LEEWAY_S <= now:
            raise ExpiredTokenError("The token has expired.")
        if issued - 60 > now:
            raise InvalidTokenError("The token is from the future.")


def _is_time(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 < value < _END_OF_TIME


def could_be_token(text: str) -> bool:
    """Whether this has the form of a token of ours; what has not is refused without any arithmetic."""
    return len(text) <= _MAX_TOKEN_CHARS and _SHAPE.fullmatch(text) is not None


def _key_id(encoded: str) -> str:
    header = _object(encoded)
    key_id = header.get("kid")
    # Any other member (`jku`, `jwk`, `x5u`, `crit`, `b64`) is somebody else's idea of how to verify.
    ours = header.keys() <= _HEADER_MEMBERS and header.get("alg") == ALGORITHM and header.get("typ") == TOKEN_TYPE
    if not ours or not isinstance(key_id, str):
        raise InvalidTokenError("The token's header is not one of ours.")
    return key_id


def _object(encoded: str) -> Mapping[str, Any]:
    try:
        found = orjson.loads(_decoded(encoded))
    except ValueError:
        raise InvalidTokenError("The token cannot be read.") from None
    if not isinstance(found, dict):
        raise InvalidTokenError("The token cannot be read.")
    return found


def _decoded(encoded: str) -> bytes:
    return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))


def _signature(encoded: str) -> bytes:
    """Written in one way only: the last character has bits that mean nothing."""
    raw = _decoded(encoded)
    if urlsafe_b64encode(raw).decode().rstrip("=") != encoded:
        raise InvalidTokenError("The token's signature is wrong.")
    return raw


def _digest(token: str, audience: str = "") -> bytes:
    if len(token) > _MAX_TOKEN_CHARS:
        raise InvalidTokenError("The token is too long.")
    return sha256(
        f"{audience} {token}".encode(errors="replace") if audience else token.encode(errors="replace")
    ).digest()


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
            actor_id=_uuid(claims["act"]["sub"]) if "act" in claims else None,
            client_id=_text(claims.get("client_id")),
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        raise InvalidTokenError("The token lacks a claim.") from None


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _uuid(value: object) -> UUID | None:
    return None if value is None else UUID(str(value))

"""API keys, resolved once and kept until their token ends or a revocation arrives."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from contracts.auth import ApiKeyChanged
from gateway import metrics
from gateway.adapters.auth import KeyResolver
from kit import apikeys
from kit.clock import Clock
from kit.errors import UnavailableError
from kit.tokens import Caller, InvalidTokenError, TokenVerifier

_UNKNOWN_FOR_S: Final = 5.0
_MARGIN_S: Final = 30.0
_MOST_KEYS: Final = 50_000


class UnknownKeyError(InvalidTokenError):
    """The key has the right form, but auth does not know it or has revoked it."""

    code = "unknown_api_key"


@dataclass(frozen=True, slots=True)
class Credential:
    """A verified caller and the access token that speaks for them."""

    caller: Caller
    access_token: str


@dataclass(frozen=True, slots=True)
class _Known:
    credential: Credential | None
    until_s: float


class ApiKeys:
    """Cache and single flight in front of auth; keys are held as SHA-256 only."""

    def __init__(self, resolver: KeyResolver, verifier: TokenVerifier, *, clock: Clock) -> None:
        self._resolver = resolver
        self._verifier = verifier
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._asking: dict[str, asyncio.Task[_Known]] = {}

    async def credential(self, key: str) -> Credential:
        """Raises `InvalidTokenError` for a bad key, `UnavailableError` when auth is away."""
        if not apikeys.well_formed(key):
            raise InvalidTokenError("The API key is mistyped: its checksum does not fit.")
        digest = apikeys.sha256_hex(key)
        known = self._known.get(digest)
        if known is None or known.until_s <= self._clock.monotonic():
            known = await self._ask_once(digest, key)
        if known.credential is None:
            raise UnknownKeyError("The API key does not exist or has been revoked.")
        return known.credential

    def on_changed(self, event: ApiKeyChanged) -> None:
        """A revoked key is forgotten at once, and a new one is not called unknown any longer."""
        known = self._known.get(event.key_sha256)
        if known is not None and (event.state == "revoked" or known.credential is None):
            del self._known[event.key_sha256]

    def forget(self, api_key_id: UUID) -> None:
        for digest, known in list(self._known.items()):
            if known.credential is not None and known.credential.caller.api_key_id == api_key_id:
                del self._known[digest]

    async def _ask_once(self, digest: str, key: str) -> _Known:
        asking = self._asking.get(digest)
        if asking is None:
            asking = self._asking[digest] = asyncio.create_task(self._ask(key))
            asking.add_done_callback(lambda _: self._asking.pop(digest, None))
        # Shielded: one caller who leaves must not fail the others.
        known = await asyncio.shield(asking)
        self._known[digest] = known
        if len(self._known) > _MOST_KEYS:
            self._known.popitem(last=False)
        return known

    async def _ask(self, key: str) -> _Known:
        resolved = await self._resolver.resolve(key)
        if resolved is None:
            metrics.KEYS_RESOLVED.labels("unknown").inc()
            return _Known(None, self._clock.monotonic() + _UNKNOWN_FOR_S)
        try:
            caller = await self._verifier.caller(resolved.access_token)
        except InvalidTokenError as error:
            # The key is good; that we cannot read auth's own token is our fault, never a 401.
            raise UnavailableError("The sign-in service gave no usable token; try again.", retry_after_s=1) from error
        metrics.KEYS_RESOLVED.labels("found").inc()
        kept_s = max(1.0, resolved.expires_in_s - _MARGIN_S)
        return _Known(Credential(caller, resolved.access_token), self._clock.monotonic() + kept_s)

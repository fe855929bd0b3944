"""API keys: refused by their form where that can be, else asked of auth, once for all who wait."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from contracts.auth import ApiKeyChanged
from gateway import metrics
from gateway.adapters.auth import KeyResolver
from gateway.identity.credential import Credential, Known
from gateway.identity.flood import DigestFilter, UnknownCredentials, place
from kit import apikeys
from kit.clock import Clock
from kit.errors import UnavailableError
from kit.tokens import InvalidTokenError, TokenVerifier

_UNKNOWN_FOR_S: Final = 5.0
_MOST_UNKNOWN: Final = 50_000
_AT_ONCE: Final = 64
_RENEW_BEFORE_S: Final = 60.0
_MARGIN_S: Final = 2.0


class UnknownKeyError(InvalidTokenError):
    """The key has the right form, but auth does not know it or has revoked it."""

    code = "unknown_api_key"


class ApiKeys:
    """What this process knows about keys, all by their SHA-256, and the way to auth for the rest.

    The topic of keys alone proves no key bad, for a new one may be under way; but a key that was on it passes the gate
    that holds back floods of unknown ones.
    """

    def __init__(
        self, resolver: KeyResolver, verifier: TokenVerifier, *, clock: Clock, unknown: UnknownCredentials | None = None
    ) -> None:
        self._resolver = resolver
        self._verifier = verifier
        self._clock = clock
        self._gate = unknown or UnknownCredentials(clock=clock)
        self._heard_of = DigestFilter()
        self._revoked: set[bytes] = set()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Known | None]] = {}
        self._for_known = asyncio.Semaphore(_AT_ONCE)
        self.on_lost: Callable[[bytes], None] = lambda _digest: None
        """Called with the digest of a key that has been revoked."""

    def check(self, key: bytes, digest: bytes) -> None:
        """Refuse what is known to be bad: mistyped, revoked, or unknown to auth a moment ago."""
        if digest in self._revoked:
            raise _unknown()
        unknown_until_s = self._unknown.get(digest)
        if unknown_until_s is not None and unknown_until_s > self._clock.monotonic():
            raise _unknown()
        if not apikeys.well_formed(key.decode("latin-1")):
            raise InvalidTokenError("The API key is mistyped: its checksum does not fit.")

    async def resolve(self, key: bytes, digest: bytes, *, peer: str) -> Known:
        """Ask auth; raises `InvalidTokenError` for a bad key, `UnavailableError` when auth is away."""
        asking = self._asking.get(digest)
        if asking is None:
            asking = self._asking[digest] = asyncio.create_task(self._ask(key.decode(), digest, peer=peer))
            asking.add_done_callback(lambda done: self._answered(digest, done))
        # Shielded: one caller who leaves must not fail the others.
        known = await asyncio.shield(asking)
        if known is None:
            raise _unknown()
        return known

    def on_changed(self, event: ApiKeyChanged) -> None:
        """A revoked key is refused at once, and a new one is not called unknown any longer."""
        try:
            digest = bytes.fromhex(event.key_sha256)
        except ValueError:
            return
        self._unknown.pop(digest, None)
        self._heard_of.add(digest)
        if event.state == "revoked" and digest not in self._revoked:
            self._revoked.add(digest)
            self.on_lost(digest)

    def _answered(self, digest: bytes, done: asyncio.Task[Known | None]) -> None:
        self._asking.pop(digest, None)
        if not done.cancelled():
            done.exception()  # those who wait have it; when all have left, nobody may complain that it was not read

    async def _ask(self, key: str, digest: bytes, *, peer: str) -> Known | None:
        if digest in self._heard_of:
            async with place(self._for_known):
                return await self._resolved(key, digest)
        async with self._gate.turn(peer):
            known = await self._resolved(key, digest)
        if known is None:
            await self._gate.failed(peer)
        return known

    async def _resolved(self, key: str, digest: bytes) -> Known | None:
        asked_s = self._clock.monotonic()
        resolved = await self._resolver.resolve(key)
        if resolved is None:
            metrics.KEYS_RESOLVED.labels("unknown").inc()
            self._note_unknown(digest)
            return None
        try:
            caller = await self._verifier.caller(resolved.access_token)
        except InvalidTokenError as error:
            # The key is good; that we cannot read auth's own token is our fault, never a 401.
            raise UnavailableError("The sign-in service gave no usable token; try again.", retry_after_s=1) from error
        metrics.KEYS_RESOLVED.labels("found").inc()
        self._heard_of.add(digest)
        lasts_s = resolved.expires_in_s
        return Known(
            Credential.of(caller, resolved.access_token, networks=resolved.allowed_networks),
            from_key=True,
            until_s=asked_s + max(1.0, lasts_s - _MARGIN_S),
            renew_s=asked_s + max(1.0, lasts_s * 0.8, lasts_s - _RENEW_BEFORE_S),
            vouched_s=asked_s,
        )

    def _note_unknown(self, digest: bytes) -> None:
        self._unknown[digest] = self._clock.monotonic() + _UNKNOWN_FOR_S
        self._unknown.move_to_end(digest)
        if len(self._unknown) > _MOST_UNKNOWN:
            self._unknown.popitem(last=False)


def _unknown() -> UnknownKeyError:
    return UnknownKeyError("The API key does not exist or has been revoked.")

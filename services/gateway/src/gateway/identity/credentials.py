"""From a request's headers to a verified credential: at once for what is known here, else by asking."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

from gateway.headers import Header
from gateway.identity.api_keys import ApiKeys
from gateway.identity.credential import Credential, Known
from gateway.identity.flood import UnknownCredentials
from gateway.identity.presented import is_api_key, presented_credential
from gateway.identity.vouching import Vouching
from kit import logging
from kit.clock import Clock
from kit.errors import DomainError
from kit.identity import Revocations
from kit.tokens import LEEWAY_S, ExpiredTokenError, InvalidTokenError, TokenVerifier, could_be_token

log = logging.get(__name__)

_MOST_KNOWN: Final = 50_000
_IN_USE_S: Final = 60.0
_RENEW_PAUSE_S: Final = 5.0
_MOST_EXPIRED: Final = 10_000


class Credentials:
    """Verifies whatever credential a request carries; revocations count at once.

    Known credentials are found by their SHA-256, so that nothing compares secrets byte by byte.
    """

    def __init__(
        self,
        verifier: TokenVerifier,
        revocations: Revocations,
        api_keys: ApiKeys,
        *,
        clock: Clock,
        vouching: Vouching,
        unknown: UnknownCredentials,
        most: int = _MOST_KNOWN,
    ) -> None:
        self._verifier = verifier
        self._revocations = revocations
        self._api_keys = api_keys
        self._clock = clock
        self._vouching = vouching
        self._gate = unknown
        self._most = most
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        self._expired: OrderedDict[bytes, None] = OrderedDict()
        self._renewing: set[asyncio.Task[None]] = set()
        api_keys.on_lost = self._forget

    def now(self, headers: Sequence[Header], *, peer: str = "") -> Credential | None:
        """None when somebody must be asked: then `of`. Raises `UnauthenticatedError` for what is proven bad.

        `peer` is the client's address; a key that is bound to networks is refused without it.
        """
        presented = presented_credential(headers)
        digest = sha256(presented).digest()
        if digest not in self._known:
            self._check_form(presented, digest)
            return None
        return self.again(digest, headers, peer=peer)

    def again(self, digest: bytes, headers: Sequence[Header], *, peer: str) -> Credential | None:
        """Like `now`, for headers whose credential has been digested before (`digest_of`)."""
        known = self._known.get(digest)
        if known is None:
            return None
        now_s = self._clock.monotonic()
        if now_s >= known.until_s:
            if not known.from_key:
                raise _expired()
            return None
        if not self._vouching.stands(known, now_s):
            return None
        known.used_s = now_s
        if now_s >= known.renew_s:
            self._renew_soon(known, presented_credential(headers), digest)
        credential = known.checked(self._revocations)
        if credential.networks is not None:
            credential.check_address(peer)
        return credential

    async def of(self, headers: Iterable[Header], *, peer: str = "") -> Credential:
        """Like `now`, and asks; raises `UnavailableError` when it is unclear."""
        headers = list(headers)
        credential = self.now(headers, peer=peer)
        if credential is not None:
            return credential
        presented = presented_credential(headers)
        digest = sha256(presented).digest()
        known = self._known.get(digest)
        if known is None or self._clock.monotonic() >= known.until_s:
            known = await self._learn(presented, digest, peer=peer)
        if not self._vouching.stands(known, self._clock.monotonic()):
            await self._vouching.vouch(known)
        known.used_s = self._clock.monotonic()
        credential = known.checked(self._revocations)
        credential.check_address(peer)
        return credential

    def in_use(self) -> list[Known]:
        """What was used within the last minute and can still be used."""
        now_s = self._clock.monotonic()
        return [one for one in self._known.values() if one.used_s > now_s - _IN_USE_S and one.until_s > now_s]

    def _check_form(self, presented: bytes, digest: bytes) -> None:
        if is_api_key(presented):
            self._api_keys.check(presented, digest)
        elif digest in self._expired:
            raise _expired()
        elif not could_be_token(presented.decode("latin-1")):
            raise InvalidTokenError("The credential is neither an API key nor a token of ours.")

    async def _learn(self, presented: bytes, digest: bytes, *, peer: str) -> Known:
        if is_api_key(presented):
            known = await self._api_keys.resolve(presented, digest, peer=peer)
        else:
            known = await self._verified(presented.decode("latin-1"), digest, peer=peer)
        self._remember(digest, known)
        return known

    async def _verified(self, token: str, digest: bytes, *, peer: str) -> Known:
        self._gate.check(peer)
        try:
            caller = await self._verifier.caller(token)
        except ExpiredTokenError:
            self._expired[digest] = None
            if len(self._expired) > _MOST_EXPIRED:
                self._expired.popitem(last=False)
            raise
        except InvalidTokenError:
            await self._gate.failed(peer)
            raise
        left_s = (caller.expires_at - self._clock.now()).total_seconds() + LEEWAY_S
        return Known(Credential.of(caller, token), until_s=self._clock.monotonic() + left_s, from_key=False)

    def _remember(self, digest: bytes, known: Known) -> None:
        self._known[digest] = known
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def _forget(self, digest: bytes) -> None:
        self._known.pop(digest, None)

    def _renew_soon(self, known: Known, presented: bytes, digest: bytes) -> None:
        known.renew_s = self._clock.monotonic() + _RENEW_PAUSE_S
        task = asyncio.get_running_loop().create_task(self._renew(presented, digest))
        self._renewing.add(task)
        task.add_done_callback(self._renewing.discard)

    async def _renew(self, presented: bytes, digest: bytes) -> None:
        try:
            self._remember(digest, await self._api_keys.resolve(presented, digest, peer=""))
        except InvalidTokenError:
            self._forget(digest)
        except DomainError as error:
            log.warning("gateway.api_key_not_renewed", reason=error.code)


def _expired() -> ExpiredTokenError:
    return ExpiredTokenError("The token has expired.")

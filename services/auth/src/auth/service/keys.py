"""The keys that sign tokens: made on first use, published ahead, retired after the last token."""

import asyncio
import secrets
from datetime import datetime, timedelta
from typing import Any, Final

import jwt
from sqlalchemy.ext.asyncio import AsyncSession

from auth.adapters import signing
from auth.adapters.sealing import Sealer
from auth.adapters.signing import TokenSigner
from auth.domain.access import PUBLISH_AHEAD_S, RETIRE_AFTER_S, SigningKey, signing_key
from auth.errors import KeyAlreadyWaitingError
from auth.repository import signing_keys
from kit.clock import Clock
from kit.database import Database

RELOAD_S: Final = 20.0
MISS_RELOAD_S: Final = 1.0


async def make_first_key(session: AsyncSession, sealer: Sealer, *, now: datetime) -> None:
    """A key that signs at once, when there is none at all."""
    await signing_keys.lock_signing_keys(session)
    if not await signing_keys.list_signing_keys(session, now=now):
        await signing_keys.insert_signing_key(session, _new_key(sealer, now=now, signs_from=now))


async def rotate_key(session: AsyncSession, sealer: Sealer, *, now: datetime) -> SigningKey:
    """Publish a new key, which signs once every verifier has had time to fetch it; the one before goes after that."""
    await signing_keys.lock_signing_keys(session)
    known = await signing_keys.list_signing_keys(session, now=now)
    waiting = next((key for key in known if key.stage(now) == "waiting"), None)
    if waiting is not None:
        raise KeyAlreadyWaitingError(f"Key {waiting.id} is published already and signs from {waiting.signs_from}.")
    signs_from = now + timedelta(seconds=PUBLISH_AHEAD_S if known else 0)
    key = _new_key(sealer, now=now, signs_from=signs_from)
    await signing_keys.insert_signing_key(session, key)
    retires_at = signs_from + timedelta(seconds=RETIRE_AFTER_S + RELOAD_S)
    await signing_keys.update_retiring(session, except_id=key.id, retires_at=retires_at)
    return key


async def rotate_if_due(session: AsyncSession, sealer: Sealer, *, after: timedelta, now: datetime) -> SigningKey | None:
    """Rotate when the newest key has signed for so long; also forget keys that no token can need any more."""
    await signing_keys.lock_signing_keys(session)
    await signing_keys.delete_retired(session, now=now)
    known = await signing_keys.list_signing_keys(session, now=now)
    newest = max((key.signs_from for key in known), default=now)
    return await rotate_key(session, sealer, now=now) if newest + after <= now else None


async def list_keys(session: AsyncSession, *, now: datetime) -> list[SigningKey]:
    return await signing_keys.list_signing_keys(session, now=now)


def _new_key(sealer: Sealer, *, now: datetime, signs_from: datetime) -> SigningKey:
    key_id = secrets.token_urlsafe(9)
    public, private = signing.new_key()
    return SigningKey(key_id, public, sealer.seal(private, name=key_id), signs_from, None, now)


class KeyRing:
    """One process's view of the keys, never older than `RELOAD_S`.

    It opens its own transactions, because the first token may be asked for before any key exists; ask it before yours.
    """

    def __init__(self, database: Database, sealer: Sealer, *, issuer: str, clock: Clock) -> None:
        self._database = database
        self._sealer = sealer
        self._issuer = issuer
        self._clock = clock
        self._keys: tuple[SigningKey, ...] = ()
        self._public: dict[str, jwt.PyJWK] = {}
        self._signers: dict[str, TokenSigner] = {}
        self._loaded_at = float("-inf")
        self._loading = asyncio.Lock()

    async def signer(self) -> TokenSigner:
        """Signs with the newest key whose time has come."""
        await self._fresh(RELOAD_S)
        key = signing_key(self._keys, now=self._clock.now())
        if key is None:
            raise RuntimeError("no signing key is ready to sign")
        if key.id not in self._signers:
            private = signing.private_key(self._sealer.open(key.private_sealed, name=key.id))
            self._signers[key.id] = TokenSigner(key.id, private, issuer=self._issuer)
        return self._signers[key.id]

    async def key(self, key_id: str) -> jwt.PyJWK | None:
        """The public key of this id: what verifies tokens inside auth (`kit.tokens.KeySource`)."""
        await self._fresh(RELOAD_S)
        if key_id not in self._public:
            await self._fresh(MISS_RELOAD_S)
        return self._public.get(key_id)

    async def jwks(self) -> dict[str, Any]:
        await self._fresh(RELOAD_S)
        now = self._clock.now()
        return {"keys": [signing.jwk(key.id, key.public_key) for key in self._keys if key.stage(now) != "retired"]}

    async def ready(self) -> None:
        """Raise `RuntimeError` when no token could be signed."""
        await self.signer()

    async def _fresh(self, most_s: float) -> None:
        if self._clock.monotonic() - self._loaded_at <= most_s:
            return
        async with self._loading:
            if self._clock.monotonic() - self._loaded_at > most_s:
                await self._load()

    async def _load(self) -> None:
        now = self._clock.now()
        async with self._database.transaction() as session:
            keys = await signing_keys.list_signing_keys(session, now=now)
            if not keys:
                await make_first_key(session, self._sealer, now=now)
                keys = await signing_keys.list_signing_keys(session, now=now)
        self._keys = tuple(keys)
        self._public = {key.id: jwt.PyJWK(signing.jwk(key.id, key.public_key)) for key in keys}
        self._loaded_at = self._clock.monotonic()

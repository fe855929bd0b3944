"""Passkeys: made by who has just proved themselves, used to sign in and to step up."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.adapters.passkeys import (
    Credential,
    RelyingParty,
    challenge_hash,
    challenge_in,
    credential_id_in,
    user_id_in,
)
from auth.domain.audit import Acting, Actor
from auth.domain.passkeys import CHALLENGE_S, PASSKEYS_MOST, Passkey, Purpose
from auth.errors import PasskeyExistsError, PasskeyRefusedError, TooManyPasskeysError, UnknownPasskeyError
from auth.repository import passkeys, users
from auth.service.recognizing import check_way_in, told
from kit.clock import Clock
from kit.ids import uuid7


@dataclass(frozen=True, slots=True)
class Copied:
    """The count did not grow: somebody has a copy of the key. What was written about it must be committed."""

    passkey: Passkey


@dataclass(frozen=True, slots=True)
class Passkeys:
    """The ceremonies of this installation."""

    party: RelyingParty

    async def begin_registration(self, session: AsyncSession, acting: Acting, *, clock: Clock) -> dict[str, Any]:
        """Options for the browser; for who has just proved that it is them."""
        user = await users.get_user(session, acting.user_id)
        known = await passkeys.list_passkeys(session, user.id)
        _check_number(known)
        challenge, options = self.party.registration(user.id, name=user.address, known=known)
        await _keep(session, challenge, "passkey-register", user_id=user.id, clock=clock)
        return options

    async def register(
        self, session: AsyncSession, acting: Acting, credential: Credential, *, name: str, clock: Clock
    ) -> Passkey:
        await _use(session, credential, "passkey-register", user_id=acting.user_id, clock=clock)
        made = self.party.verify_registration(credential)
        await users.lock_user(session, acting.user_id)
        _check_number(await passkeys.list_passkeys(session, acting.user_id))
        passkey = Passkey(
            id=uuid7(clock),
            user_id=acting.user_id,
            credential_id=made.credential_id,
            public_key=made.public_key,
            sign_count=made.sign_count,
            transports=made.transports,
            name=name,
            backed_up=made.backed_up,
            created_at=clock.now(),
            last_used_at=None,
        )
        if not await passkeys.insert_passkey(session, passkey):
            raise PasskeyExistsError("This passkey is registered already.")
        await told(session, "passkey.added", acting.user_id, passkey.id, by=acting.actor, clock=clock)
        return passkey

    async def begin_sign_in(self, session: AsyncSession, *, clock: Clock) -> dict[str, Any]:
        """Options for anybody: the authenticator knows whose passkey it holds."""
        challenge, options = self.party.assertion()
        await _keep(session, challenge, "passkey-sign-in", user_id=None, clock=clock)
        return options

    async def begin_proof(self, session: AsyncSession, acting: Acting, *, clock: Clock) -> dict[str, Any]:
        """Options for who is signed in and has to prove it once more."""
        known = await passkeys.list_passkeys(session, acting.user_id)
        challenge, options = self.party.assertion(known)
        await _keep(session, challenge, "passkey-prove", user_id=acting.user_id, clock=clock)
        return options

    async def use(
        self,
        session: AsyncSession,
        credential: Credential,
        *,
        purpose: Purpose,
        user_id: UUID | None,
        network: str,
        clock: Clock,
    ) -> Passkey | Copied:
        """Whose passkey answered the challenge; raises `PasskeyRefusedError`."""
        await _use(session, credential, purpose, user_id=user_id, clock=clock)
        passkey = await passkeys.lock_by_credential(session, credential_id_in(credential))
        if passkey is None or (user_id is not None and passkey.user_id != user_id):
            raise PasskeyRefusedError("This passkey is not known here.", field="credential")
        if user_id_in(credential) not in (None, passkey.user_id):
            raise PasskeyRefusedError("This passkey is somebody else's.", field="credential")
        asserted = self.party.verify_assertion(credential, passkey)
        if passkey.sign_count and asserted.sign_count <= passkey.sign_count:
            actor = Actor(kind="anybody", network=network)
            await told(session, "passkey.copy_suspected", passkey.user_id, passkey.id, by=actor, clock=clock)
            return Copied(passkey)
        await passkeys.update_passkey_used(
            session, passkey.id, sign_count=asserted.sign_count, backed_up=asserted.backed_up, now=clock.now()
        )
        return passkey


async def list_passkeys(session: AsyncSession, user_id: UUID) -> list[Passkey]:
    return await passkeys.list_passkeys(session, user_id)


async def rename_passkey(session: AsyncSession, user_id: UUID, passkey_id: UUID, *, name: str) -> Passkey:
    renamed = await passkeys.update_passkey_name(session, user_id, passkey_id, name=name)
    if renamed is None:
        raise UnknownPasskeyError("You have no such passkey.")
    return renamed


async def remove_passkey(session: AsyncSession, acting: Acting, passkey_id: UUID, *, clock: Clock) -> None:
    """For who has just proved that it is them; never the last way in."""
    await users.lock_user(session, acting.user_id)
    if not await passkeys.delete_passkey(session, acting.user_id, passkey_id):
        raise UnknownPasskeyError("You have no such passkey.")
    await check_way_in(session, acting.user_id)
    await told(session, "passkey.removed", acting.user_id, passkey_id, by=acting.actor, clock=clock)


def _check_number(known: list[Passkey]) -> None:
    if len(known) >= PASSKEYS_MOST:
        raise TooManyPasskeysError(f"A user has at most {PASSKEYS_MOST} passkeys; remove one first.")


async def _keep(
    session: AsyncSession, challenge: bytes, purpose: Purpose, *, user_id: UUID | None, clock: Clock
) -> None:
    expires_at = clock.now() + timedelta(seconds=CHALLENGE_S)
    await passkeys.insert_challenge(
        session, challenge_hash(challenge), purpose=purpose, user_id=user_id, expires_at=expires_at
    )


async def _use(
    session: AsyncSession, credential: Credential, purpose: Purpose, *, user_id: UUID | None, clock: Clock
) -> None:
    digest = challenge_hash(challenge_in(credential))
    if not await passkeys.use_challenge(session, digest, purpose=purpose, user_id=user_id, now=clock.now()):
        raise PasskeyRefusedError(
            "The challenge was answered already, or it is too old; begin again.", field="credential"
        )

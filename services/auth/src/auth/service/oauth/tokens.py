"""Exchanging what a program has for tokens: a code, a device's code, a refresh token."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.adapters.signing import TokenSigner
from auth.domain.clients import Client
from auth.domain.grants import SLOWER_S, AuthorizationCode, DeviceCode, fits, hash_of
from auth.errors import OAuthError, WrongCredentialsError
from auth.repository import grants, sessions
from auth.service.sessions import ForProgram, SignedIn, end_reused, open_session
from contracts.auth import SessionRevoked
from kit.clock import Clock

Error = Literal["invalid_grant", "authorization_pending", "slow_down", "expired_token", "access_denied"]
_EXPLAINED: Final[dict[Error, str]] = {
    "invalid_grant": "The code or token is not valid: unknown, used, expired, or another program's.",
    "authorization_pending": "The user has not decided yet; ask again after the interval.",
    "slow_down": "Asked too soon; the interval is 5 seconds longer from now on.",
    "expired_token": "The device code has expired; begin again.",
    "access_denied": "The user said no.",
}


@dataclass(frozen=True, slots=True)
class NotYet:
    """Why there are no tokens. What has been written about it must be committed, so it is raised afterwards."""

    error: Error
    ended: tuple[SessionRevoked, ...] = ()

    def raised(self) -> OAuthError:
        return OAuthError(self.error, _EXPLAINED[self.error])


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """The program that asks for tokens, with what and from where."""

    client: Client
    device: str
    network: str
    signer: TokenSigner


Outcome = SignedIn | NotYet
_INVALID: Final = NotYet("invalid_grant")


async def exchange_code(
    session: AsyncSession, asking: Asking, code: str, *, redirect_uri: str, verifier: str, clock: Clock
) -> Outcome:
    """A code is good once. Who brings it a second time may have stolen it: what came of it ends (RFC 6749, 4.1.2)."""
    found = await grants.lock_code(session, hash_of(code))
    if found is None or found.client_id != asking.client.id:
        return _INVALID
    if found.used_at is not None:
        return await _reused(session, found.session_id, clock=clock)
    good = found.redirect_uri == redirect_uri and fits(verifier, found.code_challenge)
    if not good or found.expires_at <= clock.now():
        return _INVALID
    opened = await _open(session, asking, found, clock=clock)
    if isinstance(opened, SignedIn):
        await grants.update_code_used(session, found.code_hash, session_id=opened.session.id, now=clock.now())
    return opened


async def exchange_device_code(session: AsyncSession, asking: Asking, code: str, *, clock: Clock) -> Outcome:
    """What has become of a device's request (RFC 8628, 3.5)."""
    found = await grants.lock_device(session, hash_of(code))
    if found is None or found.client_id != asking.client.id:
        return _INVALID
    if found.state == "used":
        return await _reused(session, found.session_id, clock=clock)
    if found.expires_at <= clock.now():
        return NotYet("expired_token")
    if found.state == "denied":
        return NotYet("access_denied")
    if found.state == "waiting":
        return await _polled(session, found, clock=clock)
    opened = await _open(session, asking, found, clock=clock)
    if isinstance(opened, SignedIn):
        await grants.update_device(session, found.code_hash, state="used", session_id=opened.session.id)
    return opened


async def _polled(session: AsyncSession, device: DeviceCode, *, clock: Clock) -> NotYet:
    now = clock.now()
    early = device.polled_at is not None and now < device.polled_at + timedelta(seconds=device.interval_s)
    interval_s = device.interval_s + (SLOWER_S if early else 0)
    await grants.update_device(session, device.code_hash, polled_at=now, interval_s=interval_s)
    return NotYet("slow_down" if early else "authorization_pending")


async def _open(
    session: AsyncSession, asking: Asking, found: AuthorizationCode | DeviceCode, *, clock: Clock
) -> Outcome:
    assert found.user_id is not None
    assert found.account_id is not None
    try:
        return await open_session(
            session,
            user_id=found.user_id,
            account_id=found.account_id,
            device=asking.device,
            network=asking.network,
            way=ForProgram(asking.client.id, found.scope),
            signer=asking.signer,
            clock=clock,
        )
    except WrongCredentialsError:
        # The user left the account between the consent and now.
        return _INVALID


async def _reused(session: AsyncSession, session_id: UUID | None, *, clock: Clock) -> NotYet:
    owner = None if session_id is None else await sessions.lock_session(session, session_id)
    if owner is None:
        return _INVALID
    return NotYet("invalid_grant", tuple(await end_reused(session, owner, clock=clock)))

"""Sessions: opened by a sign-in, carried on by refresh tokens that are used once each, ended for good."""

import base64
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.adapters.sealing import Keyed
from auth.adapters.signing import Issued, TokenSigner
from auth.domain.access import ACCESS_S, SESSION_DAYS, Access, RefreshToken, Session
from auth.errors import UnknownSessionError, WrongCredentialsError
from auth.repository import accounts, sessions
from auth.service import facts
from contracts.auth import SessionRevoked
from kit import outbox
from kit.clock import Clock
from kit.ids import uuid7

PREFIX: Final = "fgr_"
EndReason = Literal["logout", "logout_all", "reuse"]


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a client gets: an access token, and the refresh token that replaces the one it had."""

    session: Session
    access: Access
    issued: Issued
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a refresh token was refused; on reuse the family has been ended, which must be committed."""

    reused: bool


async def open_session(
    session: AsyncSession,
    *,
    user_id: UUID,
    account_id: UUID,
    device: str,
    network: str,
    signer: TokenSigner,
    clock: Clock,
) -> SignedIn:
    """A new session with its first tokens."""
    now, session_id = clock.now(), uuid7(clock)
    access = await accounts.find_access(session, user_id=user_id, account_id=account_id)
    if access is None:
        raise WrongCredentialsError("Address or password is wrong.")
    issued = signer.access_token(replace(access, session_id=session_id), now=now, lifetime_s=ACCESS_S)
    opened = Session(
        id=session_id,
        user_id=user_id,
        account_id=account_id,
        device=device,
        network=network,
        created_at=now,
        last_seen_at=now,
        access_until=issued.expires_at,
        expires_at=now + timedelta(days=SESSION_DAYS),
        revoked_at=None,
    )
    refresh_token = _encoded(secrets.token_bytes(32))
    await sessions.insert_session(session, opened)
    await sessions.insert_refresh_token(session, _hash(refresh_token), session_id=session_id, now=now)
    return SignedIn(opened, access, issued, refresh_token)


async def refresh_session(
    session: AsyncSession, refresh_token: str, *, keyed: Keyed, signer: TokenSigner, clock: Clock
) -> SignedIn | Refused:
    """Rotate. The successor is derived from the token, so that a repeat within the grace gets the same one."""
    now = clock.now()
    found = await sessions.lock_by_refresh_token(session, _hash(refresh_token))
    if found is None or found[0].revoked_at is not None or found[0].expires_at <= now:
        return Refused(reused=False)
    owner, token = found
    if token.used_at is not None and not token.in_grace(now):
        await _end(session, [owner], reason="reuse", now=now)
        return Refused(reused=True)
    access = await accounts.find_access(session, user_id=owner.user_id, account_id=owner.account_id)
    if access is None:
        return Refused(reused=False)
    successor = await _rotate(session, refresh_token, token, keyed=keyed, now=now)
    issued = signer.access_token(replace(access, session_id=owner.id), now=now, lifetime_s=ACCESS_S)
    if issued.expires_at > owner.access_until:
        await sessions.update_session_seen(session, owner.id, now=now, access_until=issued.expires_at)
    return SignedIn(owner, access, issued, successor)


async def _rotate(
    session: AsyncSession, refresh_token: str, token: RefreshToken, *, keyed: Keyed, now: datetime
) -> str:
    successor = _encoded(keyed.digest(refresh_token))
    if token.used_at is None:
        await sessions.update_token_used(session, token.token_hash, now=now)
        await sessions.insert_refresh_token(session, _hash(successor), session_id=token.session_id, now=now)
    return successor


async def end_session(session: AsyncSession, user_id: UUID, session_id: UUID, *, now: datetime) -> list[SessionRevoked]:
    """End one of the user's sessions; raises `UnknownSessionError` for those of others."""
    ended = await sessions.lock_sessions(session, user_id, session_id=session_id)
    if not ended:
        raise UnknownSessionError("You have no such session.")
    return await _end(session, ended, reason="logout", now=now)


async def end_all_sessions(session: AsyncSession, user_id: UUID, *, now: datetime) -> list[SessionRevoked]:
    ended = await sessions.lock_sessions(session, user_id)
    return await _end(session, ended, reason="logout_all", now=now)


async def list_sessions(
    session: AsyncSession, user_id: UUID, *, now: datetime, before: UUID | None, limit: int
) -> list[Session]:
    return await sessions.list_sessions(session, user_id, now=now, before=before, limit=limit)


async def _end(
    session: AsyncSession, ended: Sequence[Session], *, reason: EndReason, now: datetime
) -> list[SessionRevoked]:
    events = [facts.session_revoked(one, now=now) for one in ended]
    await sessions.update_revoked(session, [one.id for one in ended], now=now, reason=reason)
    await outbox.add(session, *events)
    return events


def _encoded(raw: bytes) -> str:
    return PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

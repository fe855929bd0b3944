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

from auth import metrics
from auth.adapters.sealing import Keyed
from auth.adapters.signing import Issued, TokenSigner
from auth.domain.access import ACCESS_S, SESSION_DAYS, Access, Session
from auth.domain.audit import Acting, Actor
from auth.errors import UnknownSessionError, WrongCredentialsError
from auth.repository import accounts, sessions
from auth.service import audit, facts
from auth.service.messages import request_message
from contracts.auth import SessionRevoked, SignInWay
from kit import outbox
from kit.clock import Clock
from kit.ids import uuid7

PREFIX: Final = "fgr_"
EndReason = Literal["logout", "logout_all", "reuse", "password", "deletion", "operator", "consent"]


@dataclass(frozen=True, slots=True)
class ForProgram:
    """For which program a session is opened, and what that one may do."""

    client_id: str
    scope: str


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
    ended: tuple[SessionRevoked, ...] = ()


async def open_session(
    session: AsyncSession,
    *,
    user_id: UUID,
    account_id: UUID,
    device: str,
    network: str,
    way: SignInWay | ForProgram,
    signer: TokenSigner,
    clock: Clock,
) -> SignedIn:
    """A new session with its first tokens; a program's is bounded by its scope."""
    now, session_id = clock.now(), uuid7(clock)
    program = way if isinstance(way, ForProgram) else None
    access = await accounts.find_access(session, user_id=user_id, account_id=account_id)
    if access is None:
        raise WrongCredentialsError("Address or password is wrong.")
    opened = Session(
        id=session_id,
        user_id=user_id,
        account_id=account_id,
        device=device,
        network=network,
        created_at=now,
        last_seen_at=now,
        access_until=now + timedelta(seconds=ACCESS_S),
        expires_at=now + timedelta(days=SESSION_DAYS),
        revoked_at=None,
        client_id=program.client_id if program else None,
        scope=program.scope if program else "",
    )
    issued = signer.access_token(access.of_session(opened), now=now, lifetime_s=ACCESS_S)
    refresh_token = _encoded(secrets.token_bytes(32))
    familiar = await sessions.knows_place(session, user_id, device=device, network=network)
    await sessions.insert_session(session, opened)
    if not familiar:
        told: SignInWay = "program" if isinstance(way, ForProgram) else way
        await request_message(session, "new-sign-in", user_id=user_id, subject_id=session_id, way=told, clock=clock)
    actor = Actor(kind="user", user_id=user_id, network=network)
    await audit.record(session, "session.opened", by=actor, target=("user", user_id), clock=clock)
    await sessions.insert_refresh_token(session, _hash(refresh_token), session_id=session_id, now=now)
    return SignedIn(opened, access, issued, refresh_token)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshing:
    """A refresh token that somebody shows. `client_id` is the program that asks; its token is of use to it only."""

    token: str
    client_id: str | None
    keyed: Keyed
    signer: TokenSigner
    clock: Clock

    @property
    def successor(self) -> str:
        """Derived from the token, so that a repeat within the grace gets the same one."""
        return _encoded(self.keyed.digest(self.token))

    async def rotate(self, session: AsyncSession) -> SignedIn | None:
        """What nearly every refresh is: one statement, which needs no transaction around it. None for all else."""
        now = self.clock.now()
        rotated = await sessions.rotate(
            session,
            _hash(self.token),
            by=_hash(self.successor),
            client_id=self.client_id,
            now=now,
            access_until=now + timedelta(seconds=ACCESS_S),
        )
        if rotated is None:
            return None
        owner, access = rotated
        issued = self.signer.access_token(access.of_session(owner), now=now, lifetime_s=ACCESS_S)
        return SignedIn(owner, access, issued, self.successor)

    async def refresh(self, session: AsyncSession) -> SignedIn | Refused:
        """All else: repeats, reuses, tokens that are no good, and users who have left the session's account."""
        now, found = self.clock.now(), await sessions.lock_by_refresh_token(session, _hash(self.token))
        if found is None or found[0].revoked_at is not None or found[0].expires_at <= now:
            return Refused(reused=False)
        owner, token = found
        if owner.client_id != self.client_id:
            return Refused(reused=False)
        if token.used_at is not None and not token.in_grace(now):
            return Refused(reused=True, ended=tuple(await end_reused(session, owner, clock=self.clock)))
        access = await access_of(session, owner)
        if access is None:
            return Refused(reused=False)
        if token.used_at is None:
            await sessions.replace_token(
                session, token.token_hash, by=_hash(self.successor), session_id=owner.id, now=now
            )
        issued = self.signer.access_token(access.of_session(owner), now=now, lifetime_s=ACCESS_S)
        await sessions.update_session_account(
            session, owner.id, account_id=access.account_id, now=now, access_until=issued.expires_at
        )
        return SignedIn(replace(owner, account_id=access.account_id), access, issued, self.successor)


async def find_of_token(session: AsyncSession, refresh_token: str) -> Session | None:
    """The session that a refresh token is of, used or not, ended or not."""
    found = await sessions.find_by_refresh_token(session, _hash(refresh_token))
    return None if found is None else found[0]


async def access_of(session: AsyncSession, owner: Session) -> Access | None:
    """In the session's account; back home when the user has no part in that one any more."""
    access = await accounts.find_access(session, user_id=owner.user_id, account_id=owner.account_id)
    if access is not None:
        return access
    home = await accounts.find_home(session, owner.user_id)
    return None if home is None else await accounts.find_access(session, user_id=owner.user_id, account_id=home)


async def end_session(session: AsyncSession, acting: Acting, session_id: UUID, *, clock: Clock) -> list[SessionRevoked]:
    """End one of the caller's sessions; raises `UnknownSessionError` for those of others."""
    ended = await sessions.lock_sessions(session, acting.user_id, session_id=session_id)
    if not ended:
        raise UnknownSessionError("You have no such session.")
    await audit.record(session, "session.ended", by=acting.actor, target=("session", session_id), clock=clock)
    return await _end(session, ended, reason="logout", now=clock.now())


async def revoke_refresh_token(
    session: AsyncSession, refresh_token: str, *, by: Actor, clock: Clock
) -> list[SessionRevoked]:
    """End the session that this token is of, whether it was used or not; nothing happens for a token that is none."""
    found = await sessions.lock_by_refresh_token(session, _hash(refresh_token))
    if found is None or found[0].revoked_at is not None:
        return []
    return await end_found(session, found[0], by=by, clock=clock)


async def end_found(
    session: AsyncSession, owner: Session, *, by: Actor, clock: Clock, reason: EndReason = "logout"
) -> list[SessionRevoked]:
    """End a session that the caller has locked, for whoever has shown a credential of it."""
    await audit.record(session, "session.ended", by=by, target=("session", owner.id), clock=clock)
    return await _end(session, [owner], reason=reason, now=clock.now())


async def end_program_sessions(
    session: AsyncSession, user_id: UUID, client_id: str, *, now: datetime
) -> list[SessionRevoked]:
    """End what a program holds of this user; what for, the caller writes into the log."""
    ended = await sessions.lock_sessions(session, user_id, client_id=client_id)
    return await _end(session, ended, reason="consent", now=now)


async def end_reused(session: AsyncSession, owner: Session, *, clock: Clock) -> list[SessionRevoked]:
    """End the family of a token or a code that was used twice, and tell its user: somebody else may have it."""
    metrics.SESSIONS_REUSED.inc()
    ended = [] if owner.revoked_at is not None else await _end(session, [owner], reason="reuse", now=clock.now())
    await request_message(session, "token-reused", user_id=owner.user_id, subject_id=owner.id, clock=clock)
    actor = Actor(kind="anybody")
    await audit.record(session, "session.token_reused", by=actor, target=("user", owner.user_id), clock=clock)
    return ended


async def log_out_everywhere(session: AsyncSession, acting: Acting, *, clock: Clock) -> list[SessionRevoked]:
    await audit.record(session, "sessions.ended", by=acting.actor, target=("user", acting.user_id), clock=clock)
    return await end_all_sessions(session, acting.user_id, now=clock.now(), reason="logout_all")


async def end_all_sessions(
    session: AsyncSession, user_id: UUID, *, now: datetime, reason: EndReason, but: UUID | None = None
) -> list[SessionRevoked]:
    """End the user's sessions, all of them or all but one; what they end for, the caller writes into the log."""
    ended = await sessions.lock_sessions(session, user_id, but=but)
    return await _end(session, ended, reason=reason, now=now)


async def is_running(session: AsyncSession, session_id: UUID) -> bool:
    return bool(await sessions.list_running(session, [session_id]))


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
    return hashlib.sha256(token.encode(errors="replace")).digest()

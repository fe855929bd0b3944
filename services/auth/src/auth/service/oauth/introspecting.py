"""What a token stands for, for services and for the program that it was given to (RFC 7662)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.access import Session
from auth.domain.grants import hash_of
from auth.repository import grants, sessions
from kit import apikeys
from kit.tokens import Caller


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A token that is good now."""

    kind: Literal["access_token", "refresh_token", "session_key"]
    user_id: UUID
    account_id: UUID
    session_id: UUID | None
    client_id: str | None
    scope: str
    expires_at: datetime


async def standing_of_session_token(session: AsyncSession, token: str, *, now: datetime) -> Standing | None:
    """Of a refresh token that was not used yet, or of a session key; None for everything else."""
    if apikeys.well_formed(token):
        owner = await grants.lock_by_session_key(session, apikeys.sha256_hex(token))
        return _standing(owner, "session_key", now=now)
    found = await sessions.find_by_refresh_token(session, hash_of(token))
    if found is None or found[1].used_at is not None:
        return None
    return _standing(found[0], "refresh_token", now=now)


async def standing_of_caller(session: AsyncSession, caller: Caller, *, now: datetime) -> Standing | None:
    """Of an access token that has been verified; a session that has ended a moment ago has ended here first."""
    owner = None if caller.session_id is None else await sessions.find_session(session, caller.session_id)
    if caller.session_id is not None and (owner is None or owner.revoked_at is not None):
        return None
    return Standing(
        kind="access_token",
        user_id=caller.user_id,
        account_id=caller.account_id,
        session_id=caller.session_id,
        client_id=caller.client_id,
        scope=owner.scope if owner and owner.client_id else " ".join(caller.scopes),
        expires_at=caller.expires_at,
    )


def _standing(
    owner: Session | None, kind: Literal["refresh_token", "session_key"], *, now: datetime
) -> Standing | None:
    if owner is None or owner.revoked_at is not None or owner.expires_at <= now:
        return None
    return Standing(
        kind=kind,
        user_id=owner.user_id,
        account_id=owner.account_id,
        session_id=owner.id,
        client_id=owner.client_id,
        scope=owner.scope,
        expires_at=owner.expires_at,
    )

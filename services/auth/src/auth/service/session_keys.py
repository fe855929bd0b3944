"""Session keys: one opaque credential in place of a pair of tokens, for clients that cannot refresh."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from auth.adapters.signing import Issued, TokenSigner
from auth.domain.access import ACCESS_S, Access, Session
from auth.domain.audit import Actor
from auth.errors import UnknownApiKeyError
from auth.repository import grants, sessions
from auth.service.sessions import access_of, end_found
from contracts.auth import SessionRevoked
from kit import apikeys
from kit.clock import Clock


@dataclass(frozen=True, slots=True)
class ResolvedSession:
    """The token of a session key."""

    session: Session
    access: Access
    issued: Issued


async def make_session_key(session: AsyncSession, owner: Session) -> str:
    """The key of a session that was opened a moment ago; it ends when the session does."""
    text = apikeys.make("session")
    await grants.insert_session_key(session, apikeys.sha256_hex(text), session_id=owner.id)
    return text


async def resolve_session_key(
    session: AsyncSession, text: str, *, signer: TokenSigner, now: datetime
) -> ResolvedSession:
    """An access token of the key's session; raises `UnknownApiKeyError` for whatever is wrong."""
    owner = await find_owner(session, text)
    if owner is None or owner.revoked_at is not None or owner.expires_at <= now:
        raise UnknownApiKeyError("There is no such session key.")
    access = await access_of(session, owner)
    if access is None:
        raise UnknownApiKeyError("There is no such session key.")
    lifetime_s = max(1, min(ACCESS_S, int((owner.expires_at - now).total_seconds())))
    mine = access.of_session(owner)
    issued = signer.access_token(mine, now=now, lifetime_s=lifetime_s)
    await sessions.update_session_account(
        session, owner.id, account_id=access.account_id, now=now, access_until=issued.expires_at
    )
    return ResolvedSession(replace(owner, account_id=access.account_id), mine, issued)


async def find_owner(session: AsyncSession, text: str) -> Session | None:
    """The session of a key, whether it has ended or not."""
    if not apikeys.well_formed(text):
        return None
    return await grants.lock_by_session_key(session, apikeys.sha256_hex(text))


async def end_by_key(session: AsyncSession, text: str, *, by: Actor, clock: Clock) -> list[SessionRevoked]:
    """End the session of a key; nothing happens for a text that is none."""
    owner = await find_owner(session, text)
    if owner is None or owner.revoked_at is not None:
        return []
    return await end_found(session, owner, by=by, clock=clock)

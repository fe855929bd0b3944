"""An operator looks at things as a user does: for a reason, for minutes, seen by the user; nothing can be changed."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.adapters.signing import Issued, TokenSigner
from auth.domain.access import ACCESS_S, Access, Session
from auth.domain.audit import Actor
from auth.errors import OperatorImpersonatedError, UnknownAccountError, UnknownUserError
from auth.repository import accounts, sessions, users
from auth.service import audit
from auth.service.messages import request_message
from kit.clock import Clock
from kit.ids import uuid7

MOST_MINUTES: Final = ACCESS_S // 60
"""As long as any access token lives; whoever needs longer asks again, and is logged again."""
DEVICE: Final = "an operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedLook:
    """Whose eyes, in which of their accounts (their own for None), why and for how long."""

    user_id: UUID
    account_id: UUID | None
    reason: str
    minutes: int


async def impersonate(
    session: AsyncSession, actor: Actor, wanted: WantedLook, *, signer: TokenSigner, clock: Clock
) -> tuple[Session, Issued]:
    """A token that reads as the user and changes nothing; the user sees the session, ends it, and gets a mail."""
    assert actor.user_id is not None
    user = await users.lock_user(session, wanted.user_id)
    if user.state != "active":
        raise UnknownUserError("There is no such user.")
    if user.operator:
        raise OperatorImpersonatedError("Operators are not looked at through their own eyes.")
    access, now = await _access(session, wanted), clock.now()
    lifetime_s, session_id = wanted.minutes * 60, uuid7(clock)
    seen = replace(access, session_id=session_id, operator=False, actor_id=actor.user_id)
    issued = signer.access_token(seen, now=now, lifetime_s=lifetime_s)
    look = Session(
        id=session_id,
        user_id=user.id,
        account_id=access.account_id,
        device=DEVICE,
        network=DEVICE,
        created_at=now,
        last_seen_at=now,
        access_until=issued.expires_at,
        expires_at=now + timedelta(seconds=lifetime_s),
        revoked_at=None,
        operator_id=actor.user_id,
        reason=wanted.reason,
    )
    await sessions.insert_session(session, look)
    await request_message(session, "impersonated", user_id=user.id, subject_id=session_id, clock=clock)
    await audit.record(
        session,
        "user.impersonated",
        by=actor,
        target=("user", user.id),
        account_id=access.account_id,
        reason=wanted.reason,
        change=(None, {"session_id": str(session_id), "until": look.expires_at.isoformat()}),
        clock=clock,
    )
    return look, issued


async def _access(session: AsyncSession, wanted: WantedLook) -> Access:
    account_id = wanted.account_id or await accounts.find_home(session, wanted.user_id)
    access = None
    if account_id is not None:
        access = await accounts.find_access(session, user_id=wanted.user_id, account_id=account_id)
    if access is None:
        raise UnknownAccountError("This user has no such account.", field="account_id")
    return access

"""Making users: by registration, where a known address gets the same answer, and by the operator's command."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.passwords import weakness
from auth.domain.people import Account, Member, Project, User
from auth.errors import WeakPasswordError
from auth.repository import accounts, users
from auth.service import facts
from auth.service.limits import Limits
from auth.service.messages import request_message
from kit import outbox, parking
from kit.clock import Clock
from kit.ids import uuid7

Activation = Literal["at_once", "verified"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """Somebody to be made a user; `password_hash` was made before the transaction, if there is a password."""

    address: str
    address_normal: str
    password_hash: str | None
    verified: bool = False
    operator: bool = False


def check_password(password: str, *, address: str, field: str = "password") -> None:
    """Raises `WeakPasswordError` with the reason."""
    reason = weakness(password, address=address)
    if reason is not None:
        raise WeakPasswordError(f"This password is refused: {reason}.", field=field)


async def register(
    session: AsyncSession, new: NewUser, *, limits: Limits, activation: Activation, clock: Clock
) -> None:
    """Make the user, or tell the owner of a known address by mail that somebody tried."""
    user = await create_user(session, new, activation=activation, clock=clock)
    if user is not None:
        await limits.wait_for_mail_s(session, address=new.address_normal, purpose="sign-up", now=clock.now())
        await request_message(session, "verify-email", user_id=user.id, clock=clock)
        return
    known = await users.find_user_by_address(session, new.address_normal)
    if known is None or await limits.wait_for_mail_s(
        session, address=new.address_normal, purpose="sign-up", now=clock.now()
    ):
        return
    await request_message(session, "already-registered", user_id=known.id, clock=clock)


async def create_user(session: AsyncSession, new: NewUser, *, activation: Activation, clock: Clock) -> User | None:
    """User, personal account and default project with their events; None when the address is taken."""
    now = clock.now()
    user = User(
        id=uuid7(clock),
        address=new.address,
        address_normal=new.address_normal,
        locale=None,
        state="active",
        operator=new.operator,
        verified_at=now if new.verified else None,
        deletion_due_at=None,
        version=1,
        created_at=now,
    )
    if not await users.insert_user(session, user):
        return None
    if new.password_hash is not None:
        await users.upsert_password(session, user.id, password_hash=new.password_hash, now=now)
    await outbox.add(session, facts.user_changed(user, now=now))
    active = new.verified or activation == "at_once"
    await _create_personal_account(session, user.id, now=now, activated_at=now if active else None, clock=clock)
    return user


async def _create_personal_account(
    session: AsyncSession, user_id: UUID, *, now: datetime, activated_at: datetime | None, clock: Clock
) -> None:
    account = Account(uuid7(clock), "personal", "open", activated_at, 1, now)
    owner = Member(account.id, user_id, "owner", "active", 1)
    project = Project(uuid7(clock), account.id, "Default", is_default=True, state="active", version=1, created_at=now)
    await accounts.insert_account(session, account, owner=owner, project=project)
    await outbox.add(
        session,
        facts.account_created(account, owner_user_id=user_id, now=now),
        facts.account_changed(account, now=now),
        facts.member_changed(owner, now=now),
        facts.project_changed(project, now=now),
    )
    if activated_at is not None:
        await outbox.add(session, facts.account_activated(account.id, now=now))
    await parking.release(session, f"account:{account.id}")


def one_time_password() -> str:
    """A password nobody has to think of."""
    return secrets.token_urlsafe(18)

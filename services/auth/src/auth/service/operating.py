"""What operators do to users and accounts: each with a reason, into the log, effective within seconds."""

from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.audit import Actor
from auth.domain.people import Account, User
from auth.errors import AccountClosedError, NoSecondFactorError, UnknownAccountError, UnknownUserError
from auth.repository import accounts, projects, second_factors, users
from auth.service import audit, facts, sessions
from auth.service.messages import request_message
from contracts.auth import SessionRevoked
from kit import outbox
from kit.clock import Clock


async def list_users(
    session: AsyncSession, *, address_normal: str | None, before: UUID | None, limit: int
) -> list[User]:
    if address_normal is not None:
        found = await users.find_user_by_address(session, address_normal)
        return [] if found is None else [found]
    return await users.list_users(session, before=before, limit=limit)


async def set_user_state(
    session: AsyncSession,
    actor: Actor,
    user_id: UUID,
    *,
    state: Literal["active", "disabled"],
    reason: str,
    clock: Clock,
) -> tuple[User, list[SessionRevoked]]:
    """Shut a user out, or let them in again; the sessions of who is shut out end."""
    before = await users.lock_user(session, user_id)
    if before.state == "deleted":
        raise UnknownUserError("There is no such user.")
    user = await users.update_state(session, user_id, state=state)
    if user is None:
        return before, []
    await outbox.add(session, facts.user_changed(user, now=clock.now()))
    change = ({"state": before.state}, {"state": user.state})
    action = "user.disabled" if state == "disabled" else "user.enabled"
    await audit.record(session, action, by=actor, target=("user", user_id), reason=reason, change=change, clock=clock)
    if state == "active":
        return user, []
    return user, await sessions.end_all_sessions(session, user_id, now=clock.now(), reason="operator")


async def end_sessions(
    session: AsyncSession, actor: Actor, user_id: UUID, *, reason: str, clock: Clock
) -> list[SessionRevoked]:
    await users.lock_user(session, user_id)
    await audit.record(session, "user.signed_out", by=actor, target=("user", user_id), reason=reason, clock=clock)
    return await sessions.end_all_sessions(session, user_id, now=clock.now(), reason="operator")


async def reset_second_factor(
    session: AsyncSession, actor: Actor, user_id: UUID, *, reason: str, clock: Clock
) -> list[SessionRevoked]:
    """For somebody who lost the device and the recovery codes; they are told, and sign in anew."""
    await users.lock_user(session, user_id)
    if not await second_factors.delete_second_factor(session, user_id):
        raise NoSecondFactorError("This user has no second factor.")
    await request_message(session, "second-factor-changed", user_id=user_id, clock=clock)
    await audit.record(session, "second_factor.reset", by=actor, target=("user", user_id), reason=reason, clock=clock)
    return await sessions.end_all_sessions(session, user_id, now=clock.now(), reason="operator")


async def set_account_state(
    session: AsyncSession,
    actor: Actor,
    account_id: UUID,
    *,
    state: Literal["open", "frozen"],
    reason: str,
    clock: Clock,
) -> Account:
    """A frozen account makes no calls; everything else of it stays."""
    if await accounts.find_account(session, account_id) is None:
        raise UnknownAccountError("There is no such account.")
    before = await projects.lock_account(session, account_id)
    if before.state == "closed":
        raise AccountClosedError("This account is closed for good.")
    if before.state == state:
        return before
    account = await projects.update_account(session, account_id, state=state)
    await outbox.add(session, facts.account_changed(account, now=clock.now()))
    await audit.record(
        session,
        "account.frozen" if state == "frozen" else "account.opened",
        by=actor,
        target=("account", account_id),
        account_id=account_id,
        reason=reason,
        change=({"state": before.state}, {"state": account.state}),
        clock=clock,
    )
    return account

"""Accounts: teams made, renamed, given budgets, closed; and which account a session works in."""

from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.adapters.signing import Issued, TokenSigner
from auth.domain.access import ACCESS_S
from auth.domain.audit import Acting
from auth.domain.people import Account, Member, Project
from auth.errors import (
    NotATeamError,
    NotVerifiedError,
    SubscriptionRunsError,
    TooManyTeamsError,
    UnknownAccountError,
)
from auth.repository import accounts, api_keys, members, projects, sessions, users
from auth.service import audit, facts, sharing
from auth.service.permissions import refuse_programs, require
from contracts.terms import Budget
from kit import outbox, parking
from kit.clock import Clock
from kit.ids import uuid7

TEAMS_MOST: Final = 20
"""So many teams may one user own: each is an account of its own everywhere."""


async def make_team(session: AsyncSession, acting: Acting, name: str, *, clock: Clock) -> Account:
    """A team with the caller as its owner; open at once, but without a trial of its own."""
    user = await users.lock_user(session, acting.user_id)
    if user.verified_at is None:
        raise NotVerifiedError("Confirm your address first.")
    if await members.count_owned_teams(session, user.id) >= TEAMS_MOST:
        raise TooManyTeamsError(f"A user owns at most {TEAMS_MOST} teams.")
    account = await insert_team(session, user.id, name, clock=clock)
    await _record(session, acting, "account.created", account.id, clock=clock, after={"name": name})
    return account


async def insert_team(session: AsyncSession, owner_id: UUID, name: str, *, clock: Clock) -> Account:
    """The rows and events of a new team; who may have one, the caller knows."""
    now = clock.now()
    account = Account(uuid7(clock), "team", "open", now, 1, now, name)
    owner = Member(account.id, owner_id, "owner", "active", 1)
    project = Project(uuid7(clock), account.id, "Default", is_default=True, state="active", version=1, created_at=now)
    await accounts.insert_account(session, account, owner=owner, project=project)
    await outbox.add(
        session,
        facts.account_created(account, owner_user_id=owner_id, now=now),
        facts.account_changed(account, now=now),
        facts.member_changed(owner, now=now),
        facts.project_changed(project, now=now),
        facts.account_activated(account.id, now=now, trial=False),
    )
    await parking.release(session, f"account:{account.id}")
    return account


async def change_account(
    session: AsyncSession, acting: Acting, *, name: str | None, budgets: tuple[Budget, ...] | None, clock: Clock
) -> Account:
    """Rename the caller's account or give it other budgets; None leaves as it is."""
    await require(session, acting, "change_account")
    before = await projects.lock_account(session, acting.account_id)
    if name is not None and before.kind != "team":
        raise NotATeamError("A personal account has no name.", field="name")
    changed: dict[str, Any] = {"name": name, "budgets": budgets}
    given = {field: value for field, value in changed.items() if value is not None}
    if not given:
        return before
    account = await projects.update_account(session, before.id, **given)
    await outbox.add(session, facts.account_changed(account, now=clock.now()))
    was, now_is = _shown(before), _shown(account)
    await _record(session, acting, "account.changed", account.id, clock=clock, before=was, after=now_is)
    return account


async def close_team(session: AsyncSession, acting: Acting, *, clock: Clock) -> None:
    """Nobody can use it any more; its keys are revoked, its books stay."""
    await require(session, acting, "close_account")
    account = await projects.lock_account(session, acting.account_id)
    if account.kind != "team":
        raise NotATeamError("A personal account closes with its user.")
    if await accounts.pays_on(session, account.id):
        raise SubscriptionRunsError("The team's subscription would go on; cancel it first.")
    now = clock.now()
    for key in await api_keys.lock_keys_of(session, account_id=account.id):
        revoked = await api_keys.update_api_key_revoked(session, key.id, now=now)
        await outbox.add(session, facts.api_key_changed(revoked, now=now))
    await sharing.end_shares(session, by=acting.actor, home=account.id, clock=clock)
    closed = await projects.update_account(session, account.id, state="closed")
    await outbox.add(session, facts.account_changed(closed, now=now))
    await _record(session, acting, "account.closed", account.id, clock=clock)


async def switch_account(
    session: AsyncSession, acting: Acting, account_id: UUID, *, signer: TokenSigner, clock: Clock
) -> Issued:
    """Let the session work in another of the user's accounts; its next tokens are for that one."""
    refuse_programs(acting)
    access = await accounts.find_access(session, user_id=acting.user_id, account_id=account_id)
    if access is None:
        raise UnknownAccountError("You have no such account.")
    now = clock.now()
    issued = signer.access_token(replace(access, session_id=acting.session_id), now=now, lifetime_s=ACCESS_S)
    await sessions.update_session_account(
        session, acting.session_id, account_id=account_id, now=now, access_until=issued.expires_at
    )
    return issued


def _shown(account: Account) -> dict[str, Any]:
    return {"name": account.name, "budgets": [one.model_dump(mode="json") for one in account.budgets]}


async def _record(session: AsyncSession, acting: Acting, action: str, account_id: UUID, **more: Any) -> None:
    clock, change = more["clock"], (more.get("before"), more.get("after"))
    await audit.record(
        session,
        action,
        by=acting.actor,
        target=("account", account_id),
        account_id=account_id,
        clock=clock,
        change=change,
    )

"""Members of an account: listed, given roles and budgets, removed; and who owns it."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.audit import Acting
from auth.domain.people import Member, NamedMember
from auth.domain.roles import allows
from auth.errors import LastOwnerError, RoleError, UnknownMemberError
from auth.repository import api_keys, members
from auth.service import audit, facts
from auth.service.permissions import membership, require
from contracts.auth import Role
from contracts.terms import Budget
from kit import outbox
from kit.clock import Clock


async def list_members(session: AsyncSession, acting: Acting, *, after: UUID | None, limit: int) -> list[NamedMember]:
    """Addresses are for those who manage members; others see who has which role."""
    mine = await require(session, acting, "list_members")
    found = await members.list_of_account(session, acting.account_id, after=after, limit=limit)
    return found if allows(mine.role, "manage_members") else [replace(one, address=None) for one in found]


async def change_member(
    session: AsyncSession,
    acting: Acting,
    user_id: UUID,
    *,
    role: Role | None,
    budgets: tuple[Budget, ...] | None,
    clock: Clock,
) -> Member:
    """Another role or other budgets; None leaves as it is. Only owners change owners, or make them."""
    await members.lock_members(session, acting.account_id)
    mine = await require(session, acting, "manage_members")
    before = await _find(session, acting.account_id, user_id)
    _check_reach(mine, before.role, role)
    if before.role == "owner" and role not in (None, "owner"):
        await _check_not_last(session, acting.account_id)
    changed = {"role": role, "budgets": budgets}
    given = {field: value for field, value in changed.items() if value is not None}
    if not given:
        return before
    return await _update(session, acting, before, "member.changed", clock=clock, **given)


async def remove_member(session: AsyncSession, acting: Acting, user_id: UUID, *, clock: Clock) -> None:
    """Take somebody out, or leave; the keys that they made go with them."""
    await members.lock_members(session, acting.account_id)
    leaves = user_id == acting.user_id
    mine = await membership(session, acting) if leaves else await require(session, acting, "manage_members")
    before = await _find(session, acting.account_id, user_id)
    if not leaves:
        _check_reach(mine, before.role, None)
    if before.role == "owner":
        await _check_not_last(session, acting.account_id)
    now = clock.now()
    for key in await api_keys.lock_keys_of(session, user_id=user_id, account_id=acting.account_id):
        revoked = await api_keys.update_api_key_revoked(session, key.id, now=now)
        await outbox.add(session, facts.api_key_changed(revoked, now=now))
    action = "member.left" if leaves else "member.removed"
    await _update(session, acting, before, action, clock=clock, state="removed", budgets=())


async def transfer_ownership(session: AsyncSession, acting: Acting, user_id: UUID, *, clock: Clock) -> Member:
    """The member becomes an owner, the caller an admin, in one step."""
    await members.lock_members(session, acting.account_id)
    mine = await require(session, acting, "manage_owners")
    theirs = await _find(session, acting.account_id, user_id)
    if user_id == acting.user_id:
        raise UnknownMemberError("Hand the account over to somebody else.", field="user_id")
    owner = theirs
    if theirs.role != "owner":
        owner = await _update(session, acting, theirs, "ownership.transferred", clock=clock, role="owner")
    await _update(session, acting, mine, "member.changed", clock=clock, role="admin")
    return owner


def _check_reach(mine: Member, theirs: Role, wanted: Role | None) -> None:
    if "owner" in (theirs, wanted) and not allows(mine.role, "manage_owners"):
        raise RoleError("Only an owner may change owners, or make one.")


async def _find(session: AsyncSession, account_id: UUID, user_id: UUID) -> Member:
    member = await members.find_member(session, account_id, user_id)
    if member is None:
        raise UnknownMemberError("This account has no such member.")
    return member


async def _check_not_last(session: AsyncSession, account_id: UUID) -> None:
    if await members.count_owners(session, account_id) < 2:
        raise LastOwnerError("An account keeps at least one owner; hand it over first.")


async def _update(
    session: AsyncSession, acting: Acting, before: Member, action: str, *, clock: Clock, **changed: Any
) -> Member:
    member = await members.update_member(session, before.account_id, before.user_id, **changed)
    await outbox.add(session, facts.member_changed(member, now=clock.now()))
    await audit.record(
        session,
        action,
        by=acting.actor,
        target=("user", member.user_id),
        account_id=member.account_id,
        clock=clock,
        change=(_shown(before), _shown(member)),
    )
    return member


def _shown(member: Member) -> dict[str, Any]:
    budgets = [one.model_dump(mode="json") for one in member.budgets]
    return {"role": member.role, "state": member.state, "budgets": budgets}

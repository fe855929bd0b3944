"""Service accounts: machines of an account, with a role and API keys, that nobody can sign in as."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.audit import Acting
from auth.domain.machines import Machine, MachineRole, ServiceAccount, machine_address
from auth.domain.people import Member, User
from auth.errors import TooManyServiceAccountsError, UnknownServiceAccountError
from auth.repository import api_keys, members, projects, service_accounts, users
from auth.service import audit, facts
from auth.service.permissions import require
from contracts.terms import Budget
from kit import outbox
from kit.clock import Clock
from kit.ids import uuid7

MACHINES_MOST: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineChange:
    """What is to be another; None stays."""

    name: str | None = None
    role: MachineRole | None = None
    state: Literal["active", "disabled"] | None = None
    budgets: tuple[Budget, ...] | None = None


async def make_machine(
    session: AsyncSession, acting: Acting, *, name: str, role: MachineRole, budgets: tuple[Budget, ...], clock: Clock
) -> Machine:
    await require(session, acting, "manage_service_accounts")
    await projects.lock_account(session, acting.account_id)
    if await service_accounts.count_active(session, acting.account_id) >= MACHINES_MOST:
        raise TooManyServiceAccountsError(f"An account has at most {MACHINES_MOST} service accounts; delete some.")
    now, machine_id = clock.now(), uuid7(clock)
    address = machine_address(machine_id)
    user = User(machine_id, address, address, None, "active", operator=False, verified_at=None, deletion_due_at=None,
                version=1, created_at=now)  # fmt: skip
    await users.insert_user(session, user)
    account = ServiceAccount(machine_id, acting.account_id, name, acting.user_id, now)
    await service_accounts.insert_service_account(session, account)
    member = await members.upsert_member(session, acting.account_id, machine_id, role=role)
    if budgets:
        member = await members.update_member(session, acting.account_id, machine_id, budgets=budgets)
    machine = Machine(account, member.role, "active", budgets)
    await outbox.add(session, facts.user_changed(user, now=now), facts.member_changed(member, now=now))
    await _record(session, acting, "service_account.made", (None, machine), clock=clock)
    return machine


async def list_machines(session: AsyncSession, acting: Acting, *, before: UUID | None, limit: int) -> list[Machine]:
    await require(session, acting, "list_all_keys")
    return await service_accounts.list_machines(session, acting.account_id, before=before, limit=limit)


async def change_machine(
    session: AsyncSession, acting: Acting, machine_id: UUID, wanted: MachineChange, *, clock: Clock
) -> Machine:
    """Another name, role or budgets; disabled, its keys are refused everywhere until it is active again."""
    await require(session, acting, "manage_service_accounts")
    before = await _lock(session, acting, machine_id)
    after = before
    if wanted.name is not None:
        await service_accounts.update_name(session, machine_id, name=wanted.name)
        after = replace(after, account=replace(before.account, name=wanted.name))
    if wanted.role is not None or wanted.budgets is not None:
        member = await _changed_member(session, acting, machine_id, wanted, clock=clock)
        after = replace(after, role=member.role, budgets=member.budgets)
    if wanted.state is not None:
        user = await users.update_state(session, machine_id, state=wanted.state)
        if user is not None:
            await outbox.add(session, facts.user_changed(user, now=clock.now()))
            after = replace(after, state=user.state)
    if after != before:
        await _record(session, acting, "service_account.changed", (before, after), clock=clock)
    return after


async def delete_machine(session: AsyncSession, acting: Acting, machine_id: UUID, *, clock: Clock) -> list[UUID]:
    """For good; returns its keys, which are revoked."""
    await require(session, acting, "manage_service_accounts")
    before, now = await _lock(session, acting, machine_id), clock.now()
    keys = await api_keys.lock_keys_of(session, user_id=machine_id)
    for key in keys:
        revoked = await api_keys.update_api_key_revoked(session, key.id, now=now)
        await outbox.add(session, facts.api_key_changed(revoked, now=now))
    member = await members.update_member(session, acting.account_id, machine_id, state="removed", budgets=())
    user = await users.update_erased(session, machine_id)
    await outbox.add(session, facts.member_changed(member, now=now), facts.user_changed(user, now=now))
    await _record(session, acting, "service_account.deleted", (before, None), clock=clock)
    return [key.id for key in keys]


async def _lock(session: AsyncSession, acting: Acting, machine_id: UUID) -> Machine:
    machine = await service_accounts.lock_machine(session, acting.account_id, machine_id)
    if machine is None:
        raise UnknownServiceAccountError("This account has no such service account.")
    return machine


async def _changed_member(
    session: AsyncSession, acting: Acting, machine_id: UUID, wanted: MachineChange, *, clock: Clock
) -> Member:
    changed: dict[str, Any] = {"role": wanted.role, "budgets": wanted.budgets}
    given = {field: value for field, value in changed.items() if value is not None}
    member = await members.update_member(session, acting.account_id, machine_id, **given)
    await outbox.add(session, facts.member_changed(member, now=clock.now()))
    return member


def _shown(machine: Machine | None) -> Mapping[str, Any] | None:
    if machine is None:
        return None
    budgets = [one.model_dump(mode="json") for one in machine.budgets]
    return {"name": machine.account.name, "role": machine.role, "state": machine.state, "budgets": budgets}


async def _record(
    session: AsyncSession,
    acting: Acting,
    action: str,
    change: tuple[Machine | None, Machine | None],
    *,
    clock: Clock,
) -> None:
    before, after = change
    target = after or before
    assert target is not None
    await audit.record(
        session,
        action,
        by=acting.actor,
        target=("user", target.account.id),
        account_id=target.account.account_id,
        clock=clock,
        change=(_shown(before), _shown(after)),
    )

"""Sharing a project with a project of another account: given, listed on both sides, revoked from either.

`read` lets the other account see what the project used, without who used it; `use` also lets the other project have
API keys of its own that call at the shared project's cost, within its budgets and the sharing account's plan. Such a
key is its holder's: they list and revoke it; it ends with the share.
"""

from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.audit import Acting, Actor
from auth.domain.sharing import NamedShare, ProjectShare, ShareAccess
from auth.errors import (
    AlreadySharedError,
    SameAccountError,
    TooManySharesError,
    UnknownProjectError,
    UnknownShareError,
)
from auth.repository import accounts, api_keys, projects, sharing
from auth.service import audit, facts
from auth.service.permissions import require
from kit import outbox
from kit.clock import Clock
from kit.ids import uuid7

SHARES_MOST: Final = 100
"""Of one project: each is a record that every ledger process remembers."""


async def share_project(
    session: AsyncSession, acting: Acting, project_id: UUID, *, with_project_id: UUID, access: ShareAccess, clock: Clock
) -> NamedShare:
    """Another account's project may see, or use, one of ours from now on; whoever shares pays for what it uses."""
    await require(session, acting, "manage_projects")
    await projects.lock_account(session, acting.account_id)
    project = await accounts.find_project(session, acting.account_id, project_id)
    if project is None:
        raise UnknownProjectError("This account has no such project.")
    other = await sharing.find_any_project(session, with_project_id)
    if other is None:
        raise UnknownProjectError("There is no such project.", field="with_project_id")
    if other.account_id == acting.account_id:
        raise SameAccountError("A project is shared with a project of another account.", field="with_project_id")
    if await sharing.find_share_between(session, project_id, with_project_id) is not None:
        raise AlreadySharedError("This project is shared with that one already; revoke that first.")
    if await sharing.count_given(session, project_id) >= SHARES_MOST:
        raise TooManySharesError(f"A project is shared with at most {SHARES_MOST} others.")
    share = ProjectShare(
        id=uuid7(clock),
        account_id=acting.account_id,
        project_id=project_id,
        with_account_id=other.account_id,
        with_project_id=with_project_id,
        access=access,
        state="active",
        version=1,
        created_at=clock.now(),
    )
    await sharing.insert_share(session, share)
    await _tell(session, share, "share.made", by=acting.actor, home=acting.account_id, clock=clock)
    return NamedShare(share, project.name)


async def list_shares(session: AsyncSession, acting: Acting, *, before: UUID | None, limit: int) -> list[NamedShare]:
    """What the account shares, and what is shared with it."""
    await require(session, acting, "list_projects")
    return await sharing.list_shares(session, acting.account_id, before=before, limit=limit)


async def revoke_share(session: AsyncSession, acting: Acting, share_id: UUID, *, clock: Clock) -> list[UUID]:
    """End a share, from either side; returns the keys that ended with it."""
    await require(session, acting, "manage_projects")
    share = await sharing.lock_share(session, acting.account_id, share_id)
    if share is None:
        raise UnknownShareError("This account has no such share.")
    return await _end(session, share, by=acting.actor, home=acting.account_id, clock=clock)


async def end_shares(
    session: AsyncSession, *, by: Actor, home: UUID, clock: Clock, project_id: UUID | None = None
) -> None:
    """End what the account `home` that closes, or a project of it that is archived, shares and is given."""
    for share in await sharing.lock_shares_of(session, account_id=home, project_id=project_id):
        await _end(session, share, by=by, home=home, clock=clock)


async def _end(session: AsyncSession, share: ProjectShare, *, by: Actor, home: UUID, clock: Clock) -> list[UUID]:
    now = clock.now()
    keys = await api_keys.lock_keys_of(session, share_id=share.id)
    for key in keys:
        revoked = await api_keys.update_api_key_revoked(session, key.id, now=now)
        await outbox.add(session, facts.api_key_changed(revoked, now=now))
    revoked_share = await sharing.update_share_revoked(session, share.id, now=now)
    await _tell(session, revoked_share, "share.revoked", by=by, home=home, clock=clock)
    return [key.id for key in keys]


async def _tell(
    session: AsyncSession, share: ProjectShare, action: str, *, by: Actor, home: UUID, clock: Clock
) -> None:
    """Published, and written into the logs of both accounts; from where somebody acted stands in their own only."""
    await outbox.add(session, facts.project_share_changed(share, now=clock.now()))
    shown: dict[str, Any] = {
        "project_id": str(share.project_id),
        "with_project_id": str(share.with_project_id),
        "access": share.access,
        "state": share.state,
    }
    for account_id in (share.account_id, share.with_account_id):
        await audit.record(
            session,
            action,
            by=by if account_id == home else replace(by, network=None),
            target=("project_share", share.id),
            account_id=account_id,
            clock=clock,
            change=(None, shown),
        )

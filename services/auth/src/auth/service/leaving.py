"""Deleting a user: announced, undone while there is time, then everything personal is erased. The books stay."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.audit import SYSTEM, Acting
from auth.domain.people import User
from auth.errors import LastOwnerError, SubscriptionRunsError
from auth.repository import (
    accounts,
    api_keys,
    email_changes,
    grants,
    identities,
    members,
    messages,
    passkeys,
    programs,
    second_factors,
    users,
)
from auth.repository import audit as audit_rows
from auth.repository import sessions as session_rows
from auth.service import audit, facts, sessions, sharing
from auth.service.messages import request_message
from contracts.auth import SessionRevoked
from kit import outbox
from kit.clock import Clock


async def request_deletion(
    session: AsyncSession, acting: Acting, *, grace: timedelta, clock: Clock
) -> tuple[datetime, list[SessionRevoked]]:
    """Announce it by mail and end every session; signing in again within the grace period is how one comes back."""
    user = await users.lock_user(session, acting.user_id)
    await _check_may_leave(session, user.id)
    due_at = user.deletion_due_at or clock.now() + grace
    await users.update_deletion_due(session, user.id, due_at=due_at)
    await audit.record(session, "user.deletion_requested", by=acting.actor, target=("user", user.id), clock=clock)
    await request_message(session, "deletion-requested", user_id=user.id, clock=clock)
    return due_at, await sessions.end_all_sessions(session, user.id, now=clock.now(), reason="deletion")


async def cancel_deletion(session: AsyncSession, acting: Acting, *, clock: Clock) -> None:
    await users.update_deletion_due(session, acting.user_id, due_at=None)
    await audit.record(
        session, "user.deletion_cancelled", by=acting.actor, target=("user", acting.user_id), clock=clock
    )


async def erase_next(session: AsyncSession, *, clock: Clock) -> bool:
    """Erase one user whose time has come; False when there is none."""
    user = await users.lock_due_for_deletion(session, now=clock.now())
    if user is None:
        return False
    await members.lock_accounts_of(session, user.id)
    if await accounts.list_owned_alone(session, user.id) or await accounts.pays_on_alone(session, user.id):
        # They became a team's last owner meanwhile, or subscribed again: that is to be decided first.
        await users.update_deletion_due(session, user.id, due_at=clock.now() + timedelta(days=1))
        return True
    await _erase(session, user, clock=clock)
    return True


async def _erase(session: AsyncSession, user: User, *, clock: Clock) -> None:
    now = clock.now()
    await sessions.end_all_sessions(session, user.id, now=now, reason="deletion")
    for account in await accounts.close_personal(session, user.id):
        await outbox.add(session, facts.account_changed(account, now=now))
        await sharing.end_shares(session, by=SYSTEM, home=account.id, clock=clock)
    for member in await accounts.remove_everywhere(session, user.id):
        await outbox.add(session, facts.member_changed(member, now=now))
    for key in await api_keys.lock_keys_of(session, user_id=user.id):
        revoked = await api_keys.update_api_key_revoked(session, key.id, now=now)
        await outbox.add(session, facts.api_key_changed(revoked, now=now))
    await _forget(session, user)
    erased = await users.update_erased(session, user.id)
    await outbox.add(session, facts.user_changed(erased, now=now))
    await audit.record(session, "user.erased", by=SYSTEM, target=("user", user.id), clock=clock)


async def _forget(session: AsyncSession, user: User) -> None:
    await messages.delete_messages(session, user.id)
    await email_changes.delete_email_changes(session, user.id)
    await members.delete_invitations_of(session, address_normal=user.address_normal, user_id=user.id)
    await second_factors.delete_second_factor(session, user.id)
    await programs.delete_consents(session, user.id)
    await grants.delete_codes_of(session, user.id)
    await identities.delete_identities(session, user.id)
    await passkeys.delete_passkeys(session, user.id)
    await session_rows.clear_places(session, user.id)
    await audit_rows.clear_networks(session, user.id)


async def _check_may_leave(session: AsyncSession, user_id: UUID) -> None:
    if await accounts.list_owned_alone(session, user_id):
        raise LastOwnerError("You are the only owner of a team with other members; hand it over or remove them first.")
    if await accounts.pays_on_alone(session, user_id):
        raise SubscriptionRunsError("A subscription of yours would go on; cancel it first.")

"""Invitations: to an address, for a while, for one use, and only for whoever has that address."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.audit import Acting, Actor
from auth.domain.mails import INVITATION_S, Message
from auth.domain.people import Invitation, Member, User
from auth.errors import (
    AlreadyMemberError,
    InvitationForAnotherError,
    LinkUsedError,
    NotATeamError,
    NotVerifiedError,
    TooManyInvitationsError,
    UnknownInvitationError,
)
from auth.repository import members, projects, users
from auth.service import audit, facts
from auth.service.limits import Limits
from auth.service.messages import check_mail_rate, mark_verified, request_message, use_link
from auth.service.permissions import require
from contracts.auth import Role
from kit import outbox
from kit.clock import Clock
from kit.ids import uuid7

OPEN_MOST: Final = 100


async def invite(
    session: AsyncSession,
    acting: Acting,
    *,
    address: tuple[str, str],
    role: Role,
    limits: Limits,
    clock: Clock,
) -> Invitation:
    """Invite an address, as written and in its normal form; whether it is a user's already, nobody learns here."""
    await members.lock_members(session, acting.account_id)
    await require(session, acting, "manage_members")
    account, now = await projects.lock_account(session, acting.account_id), clock.now()
    if account.kind != "team":
        raise NotATeamError("A personal account has one member; make a team.")
    if await members.count_open_invitations(session, account.id, now=now) >= OPEN_MOST:
        raise TooManyInvitationsError(f"At most {OPEN_MOST} invitations may be open.")
    await _check_not_member(session, account.id, address[1])
    await check_mail_rate(session, limits, address=address[1], purpose="invitation", now=now)
    expires_at = now + timedelta(seconds=INVITATION_S)
    invitation = Invitation(uuid7(clock), account.id, *address, role, "open", acting.user_id, expires_at, now)
    await members.insert_invitation(session, invitation)
    await request_message(session, "invitation", user_id=None, subject_id=invitation.id, clock=clock)
    await _record(session, acting.actor, "invitation.made", invitation, clock=clock)
    return invitation


async def _check_not_member(session: AsyncSession, account_id: UUID, address_normal: str) -> None:
    user = await users.find_user_by_address(session, address_normal)
    if user is not None and await members.find_member(session, account_id, user.id) is not None:
        raise AlreadyMemberError("This address belongs to a member already.", field="email")


async def list_invitations(
    session: AsyncSession, acting: Acting, *, before: UUID | None, limit: int, clock: Clock
) -> list[Invitation]:
    await require(session, acting, "manage_members")
    return await members.list_open_invitations(session, acting.account_id, now=clock.now(), before=before, limit=limit)


async def revoke_invitation(session: AsyncSession, acting: Acting, invitation_id: UUID, *, clock: Clock) -> None:
    await require(session, acting, "manage_members")
    invitation = await members.find_invitation(session, invitation_id, lock=True)
    if invitation is None or invitation.account_id != acting.account_id or invitation.state != "open":
        raise UnknownInvitationError("This account has no such open invitation.")
    await members.update_invitation_state(session, invitation_id, state="revoked")
    await _record(session, acting.actor, "invitation.revoked", invitation, clock=clock)


async def accept_signed_in(session: AsyncSession, acting: Acting, token: str, *, clock: Clock) -> Member:
    """Join, with the link's token and a session of the user who has the address; the token proves the address too."""
    message = await use_link(session, token, kinds=("invitation",), now=clock.now())
    invitation = await _open(session, message, clock=clock)
    user = await users.lock_user(session, acting.user_id)
    if user.address_normal != invitation.address_normal:
        raise InvitationForAnotherError("This invitation is for another address.")
    await mark_verified(session, user.id, now=clock.now())
    return await _join(session, user, invitation, network=acting.network, clock=clock)


async def accept_by_link(session: AsyncSession, token: str, *, network: str, clock: Clock) -> Member:
    """Join by the page's button. A user who has not confirmed the address may be somebody who only claimed it."""
    message = await use_link(session, token, kinds=("invitation",), now=clock.now())
    invitation = await _open(session, message, clock=clock)
    user = await users.find_user_by_address(session, invitation.address_normal)
    if user is None or user.state != "active" or user.verified_at is None:
        raise NotVerifiedError("There is no user with this confirmed address yet.")
    return await _join(session, user, invitation, network=network, clock=clock)


async def _open(session: AsyncSession, message: Message, *, clock: Clock) -> Invitation:
    assert message.subject_id is not None
    found = await members.find_invitation(session, message.subject_id)
    if found is not None:
        # The account first, as whoever invites does.
        await members.lock_members(session, found.account_id)
    invitation = await members.find_invitation(session, message.subject_id, lock=True)
    if invitation is None or invitation.state != "open" or invitation.expires_at <= clock.now():
        raise LinkUsedError("This invitation was used or taken back, or it has expired.")
    return invitation


async def _join(session: AsyncSession, user: User, invitation: Invitation, *, network: str, clock: Clock) -> Member:
    account = await projects.lock_account(session, invitation.account_id)
    if account.state == "closed":
        raise LinkUsedError("This team does not exist any more.")
    member = await members.find_member(session, account.id, user.id)
    await members.update_invitation_state(session, invitation.id, state="accepted")
    if member is not None:
        return member
    member = await members.upsert_member(session, account.id, user.id, role=invitation.role)
    await outbox.add(session, facts.member_changed(member, now=clock.now()))
    actor = Actor(kind="user", user_id=user.id, network=network)
    await audit.record(
        session,
        "member.joined",
        by=actor,
        target=("user", user.id),
        account_id=account.id,
        clock=clock,
        change=(None, {"role": member.role, "invitation": str(invitation.id)}),
    )
    return member


async def _record(session: AsyncSession, actor: Actor, action: str, invitation: Invitation, *, clock: Clock) -> None:
    await audit.record(
        session,
        action,
        by=actor,
        target=("invitation", invitation.id),
        account_id=invitation.account_id,
        clock=clock,
        change=(None, {"role": invitation.role}),
    )

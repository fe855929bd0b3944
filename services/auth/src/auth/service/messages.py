"""Mails: asked for by event, filled when the notifier asks; links that work once."""

import hashlib
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.mails import Message, MessageKind
from auth.errors import LinkUsedError, TooManyAttemptsError
from auth.repository import accounts, messages, users
from auth.service import facts
from auth.service.limits import Limits, MailPurpose
from contracts.auth import SignInWay
from kit import outbox
from kit.clock import Clock
from kit.ids import uuid7


async def request_message(
    session: AsyncSession,
    kind: MessageKind,
    *,
    user_id: UUID | None,
    clock: Clock,
    subject_id: UUID | None = None,
    way: SignInWay | None = None,
) -> UUID:
    """Ask for a mail; the event holds neither address nor link."""
    message, now = Message(uuid7(clock), kind, user_id, subject_id), clock.now()
    await messages.insert_message(session, message, now=now)
    await outbox.add(session, facts.message_requested(message.id, kind=kind, user_id=user_id, way=way, now=now))
    return message.id


async def request_verification(session: AsyncSession, user_id: UUID, *, limits: Limits, clock: Clock) -> int:
    """Ask for the verification mail again, unless the address is verified; the seconds to wait when it is too soon."""
    user = await users.get_user(session, user_id)
    if user.verified_at is not None:
        return 0
    wait_s = await limits.wait_for_mail_s(session, address=user.address_normal, purpose="sign-up", now=clock.now())
    if not wait_s:
        await request_message(session, "verify-email", user_id=user_id, clock=clock)
    return wait_s


async def verify_address(session: AsyncSession, token: str, *, now: datetime) -> None:
    """Use a verification link up: the address is the user's own, and their accounts are activated."""
    message = await use_link(session, token, kinds=("verify-email",), now=now)
    assert message.user_id is not None
    await mark_verified(session, message.user_id, now=now)


async def mark_verified(session: AsyncSession, user_id: UUID, *, now: datetime) -> None:
    """The address has been proved; the user's own accounts may start."""
    await users.update_verified(session, user_id, verified_at=now)
    for account_id in await accounts.activate_owned(session, user_id, now=now):
        await outbox.add(session, facts.account_activated(account_id, now=now))


async def use_link(session: AsyncSession, token: str, *, kinds: tuple[MessageKind, ...], now: datetime) -> Message:
    """Use a link up; raises `LinkUsedError` when it does not work any more."""
    message = await messages.use_link(session, token_hash(token), kinds=kinds, now=now)
    if message is None:
        raise LinkUsedError("This link was used already, or it has expired.")
    return message


async def check_mail_rate(
    session: AsyncSession, limits: Limits, *, address: str, purpose: MailPurpose, now: datetime
) -> None:
    """Raises `TooManyAttemptsError` when this address got enough mails for now."""
    wait_s = await limits.wait_for_mail_s(session, address=address, purpose=purpose, now=now)
    if wait_s:
        raise TooManyAttemptsError(f"Too many mails; try again in {wait_s} s.", retry_after_s=wait_s)


def token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()

"""Mails: asked for by event, filled when the notifier asks; links that work once."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.errors import LinkUsedError, UnknownMessageError
from auth.repository import accounts, messages, users
from auth.service import facts
from auth.service.limits import Limits
from kit import outbox
from kit.clock import Clock
from kit.ids import uuid7

MessageKind = Literal["verify-email", "already-registered"]

LINK_S: Final = 600.0
_PAGES: Final[dict[str, str]] = {"verify-email": "/auth/pages/verify"}


@dataclass(frozen=True, slots=True)
class Mail:
    """What the notifier needs at the moment of sending; `link` is None for kinds that only tell."""

    kind: str
    user_id: UUID
    address: str
    link: str | None
    locale: str | None


async def request_message(session: AsyncSession, kind: MessageKind, *, user_id: UUID, clock: Clock) -> UUID:
    """Ask for a mail; the event holds neither address nor link."""
    message_id, now = uuid7(clock), clock.now()
    await messages.insert_message(session, message_id, kind=kind, user_id=user_id, now=now)
    await outbox.add(session, facts.message_requested(message_id, kind=kind, user_id=user_id, now=now))
    return message_id


async def request_verification(session: AsyncSession, user_id: UUID, *, limits: Limits, clock: Clock) -> int:
    """Ask for the verification mail again, unless the address is verified; the seconds to wait when it is too soon."""
    user = await users.get_user(session, user_id)
    if user.verified_at is not None:
        return 0
    wait_s = await limits.wait_for_mail_s(session, address=user.address_normal, now=clock.now())
    if not wait_s:
        await request_message(session, "verify-email", user_id=user_id, clock=clock)
    return wait_s


async def fill_message(session: AsyncSession, message_id: UUID, *, public_url: str, now: datetime) -> Mail:
    """Address and a fresh link; links of earlier asks last until they expire or are used."""
    found = await messages.find_message(session, message_id)
    if found is None:
        raise UnknownMessageError("There is no such message.")
    kind, user_id = found
    user = await users.get_user(session, user_id)
    link = None
    if kind in _PAGES:
        token = secrets.token_urlsafe(32)
        expires_at = now + timedelta(seconds=LINK_S)
        await messages.insert_link(session, token_hash(token), message_id=message_id, expires_at=expires_at)
        link = f"{public_url}{_PAGES[kind]}?token={token}"
    return Mail(kind, user_id, user.address, link, user.locale)


async def verify_address(session: AsyncSession, token: str, *, now: datetime) -> None:
    """Use a verification link up: the address is the user's own, and their accounts are activated."""
    user_id = await messages.use_link(session, token_hash(token), kind="verify-email", now=now)
    if user_id is None:
        raise LinkUsedError("This link was used already, or it has expired.")
    await users.update_verified(session, user_id, verified_at=now)
    for account_id in await accounts.activate_owned(session, user_id, now=now):
        await outbox.add(session, facts.account_activated(account_id, now=now))


def token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

"""Filling mails when the notifier asks: to whom, with which link, with which words."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.mails import LINKS, Message
from auth.errors import UnknownMessageError
from auth.repository import accounts, api_keys, email_changes, members, messages, sessions, users
from auth.service.messages import token_hash

Details = dict[str, str]


@dataclass(frozen=True, slots=True)
class Mail:
    """What the notifier needs at the moment of sending; `link` is None for kinds that only tell.

    `details` are words for the template.
    """

    kind: str
    user_id: UUID | None
    address: str
    link: str | None
    locale: str | None
    details: dict[str, str] = field(default_factory=dict)


async def fill_message(session: AsyncSession, message_id: UUID, *, public_url: str, now: datetime) -> Mail:
    """Address and a fresh link; links of earlier asks last until they expire or are used."""
    message = await messages.find_message(session, message_id)
    if message is None:
        raise UnknownMessageError("There is no such message.")
    mail = await (_to_invited(session, message, now=now) if message.user_id is None else _to_user(session, message))
    return replace(mail, link=await _new_link(session, message, public_url=public_url, now=now))


async def _to_user(session: AsyncSession, message: Message) -> Mail:
    assert message.user_id is not None
    user = await users.get_user(session, message.user_id)
    if user.state == "deleted":
        raise _over()
    address = user.address
    if message.kind == "confirm-new-email":
        address = await _new_address(session, message)
    details = await _details(session, message)
    if user.deletion_due_at is not None:
        details["deletion_due_at"] = _minute(user.deletion_due_at)
    return Mail(message.kind, user.id, address, None, user.locale, details)


async def _to_invited(session: AsyncSession, message: Message, *, now: datetime) -> Mail:
    """An invitation goes to an address that need not be a user's."""
    invitation = await members.find_invitation(session, message.subject_id) if message.subject_id else None
    if invitation is None or invitation.state != "open" or invitation.expires_at <= now:
        raise _over()
    account = await accounts.find_account(session, invitation.account_id)
    if account is None or account.state == "closed":
        raise _over()
    details = {"team": account.name or "", "role": invitation.role, "until": _minute(invitation.expires_at)}
    return Mail(message.kind, None, invitation.address, None, None, details)


async def _new_address(session: AsyncSession, message: Message) -> str:
    change = await email_changes.find_email_change(session, message.subject_id) if message.subject_id else None
    if change is None:
        raise _over()
    return change.address


async def _details(session: AsyncSession, message: Message) -> Details:
    about = _ABOUT.get(message.kind)
    return {} if about is None or message.subject_id is None else await about(session, message.subject_id)


async def _about_session(session: AsyncSession, session_id: UUID) -> Details:
    opened = await sessions.find_session(session, session_id)
    if opened is None:
        return {}
    return {"device": opened.device, "network": opened.network, "at": _minute(opened.created_at)}


async def _about_look(session: AsyncSession, session_id: UUID) -> Details:
    look = await sessions.find_session(session, session_id)
    if look is None:
        return {}
    return {"reason": look.reason or "", "at": _minute(look.created_at), "until": _minute(look.expires_at)}


async def _about_key(session: AsyncSession, key_id: UUID) -> Details:
    key = await api_keys.find_api_key(session, key_id)
    return {} if key is None else {"name": key.name, "last4": key.last4}


_ABOUT: Final = MappingProxyType[str, Callable[[AsyncSession, UUID], Awaitable[Details]]](
    {
        "new-sign-in": _about_session,
        "token-reused": _about_session,
        "key-leaked": _about_key,
        "impersonated": _about_look,
    }
)


async def _new_link(session: AsyncSession, message: Message, *, public_url: str, now: datetime) -> str | None:
    link = LINKS.get(message.kind)
    if link is None:
        return None
    token = secrets.token_urlsafe(32)
    expires_at = now + timedelta(seconds=link.lasts_s)
    await messages.insert_link(session, token_hash(token), message_id=message.id, expires_at=expires_at)
    return f"{public_url}{link.page}?token={token}"


def _minute(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def _over() -> UnknownMessageError:
    return UnknownMessageError("This message is for nobody any more.")

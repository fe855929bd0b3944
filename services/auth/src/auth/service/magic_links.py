"""Signing in by a mail's link, in the browser that asked for it."""

import hmac
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.mails import LINK_S
from auth.errors import LinkUsedError, OtherBrowserError
from auth.repository import messages, passkeys, users
from auth.service.limits import Limits
from auth.service.messages import mark_verified, request_message, token_hash, use_link
from kit.clock import Clock
from kit.ids import uuid7


async def request_link(
    session: AsyncSession, address_normal: str, *, browser_secret: str, limits: Limits, clock: Clock
) -> None:
    """Ask for the mail when there is such a user; who asks does not learn that."""
    now = clock.now()
    # Counted for every address alike, so that the counter tells no more than the answer.
    if await limits.wait_for_mail_s(session, address=address_normal, purpose="magic-link", now=now):
        return
    user = await users.find_user_by_address(session, address_normal)
    if user is None or user.state != "active":
        return
    request_id = uuid7(clock)
    # As long again as the link, which begins to count when the notifier asks for it.
    expires_at = now + timedelta(seconds=2 * LINK_S)
    await passkeys.insert_browser_request(
        session, request_id, browser_hash=token_hash(browser_secret), expires_at=expires_at
    )
    await request_message(session, "magic-link", user_id=user.id, subject_id=request_id, clock=clock)


async def peek_link(session: AsyncSession, token: str, *, browser_secret: str | None, now: datetime) -> UUID:
    """Whose link this is; raises `OtherBrowserError` outside the browser that asked, and the link stays good."""
    message = await messages.find_link(session, token_hash(token), kind="magic-link", now=now)
    if message is None or message.user_id is None or message.subject_id is None:
        raise LinkUsedError("This link was used already, or it has expired.")
    wanted = await passkeys.find_browser_hash(session, message.subject_id, now=now)
    if wanted is None:
        raise LinkUsedError("This link was used already, or it has expired.")
    if browser_secret is None or not hmac.compare_digest(wanted, token_hash(browser_secret)):
        raise OtherBrowserError("Open this link in the browser that asked for it.")
    return message.user_id


async def use_magic_link(session: AsyncSession, token: str, *, browser_secret: str | None, clock: Clock) -> UUID:
    """Use it up, with the user's other ones; it also proves the address."""
    now = clock.now()
    user = await users.lock_user(session, await peek_link(session, token, browser_secret=browser_secret, now=now))
    await use_link(session, token, kinds=("magic-link",), now=now)
    if user.state != "active":
        raise LinkUsedError("This link was used already, or it has expired.")
    await messages.use_up_links(session, user.id, kind="magic-link", now=now)
    await mark_verified(session, user.id, now=now)
    return user.id

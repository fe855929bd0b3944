"""A new address, which takes the place of the old one when the owners of both have said so."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.audit import Acting, Actor
from auth.domain.people import EmailChange
from auth.errors import AddressError, LinkUsedError
from auth.repository import email_changes, users
from auth.service import audit
from auth.service.limits import Limits
from auth.service.messages import check_mail_rate, request_message, use_link
from kit.clock import Clock
from kit.ids import uuid7

LASTS: Final = timedelta(days=1)


async def request_change(
    session: AsyncSession, acting: Acting, *, address: tuple[str, str], limits: Limits, clock: Clock
) -> None:
    """Ask both addresses; when the new one has an account already, its owner is told, and nothing else differs.

    `address` is as written and in its normal form.
    """
    now = clock.now()
    user = await users.lock_user(session, acting.user_id)
    if user.address_normal == address[1]:
        raise AddressError("This is your address already.", field="email")
    await check_mail_rate(session, limits, address=user.address_normal, purpose="change", now=now)
    change = EmailChange(uuid7(clock), user.id, *address, None, None, now + LASTS, now)
    await email_changes.upsert_email_change(session, change)
    await request_message(session, "confirm-email-change", user_id=user.id, subject_id=change.id, clock=clock)
    await audit.record(session, "email.change_requested", by=acting.actor, target=("user", user.id), clock=clock)
    if await limits.wait_for_mail_s(session, address=address[1], purpose="change", now=now):
        return
    taken = await users.find_user_by_address(session, address[1])
    if taken is not None:
        await request_message(session, "already-registered", user_id=taken.id, clock=clock)
    else:
        await request_message(session, "confirm-new-email", user_id=user.id, subject_id=change.id, clock=clock)


async def confirm_change(session: AsyncSession, token: str, *, network: str, clock: Clock) -> bool:
    """Use one of the two links up; True when the address is now the new one."""
    now = clock.now()
    message = await use_link(session, token, kinds=("confirm-email-change", "confirm-new-email"), now=now)
    side = "old" if message.kind == "confirm-email-change" else "new"
    found = message.subject_id
    change = await email_changes.update_confirmed(session, found, side=side, now=now) if found else None  # type: ignore[arg-type]  # one of two literals
    if change is None:
        raise LinkUsedError("This change of address is over.")
    return change.confirmed and await _apply(session, change, network=network, now=now, clock=clock)


async def _apply(session: AsyncSession, change: EmailChange, *, network: str, now: datetime, clock: Clock) -> bool:
    user = await users.lock_user(session, change.user_id)
    moved = user.state == "active" and await users.update_address(
        session, user.id, address=change.address, address_normal=change.address_normal, now=now
    )
    await email_changes.delete_email_changes(session, user.id)
    if moved:
        actor = Actor(kind="user", user_id=user.id, network=network)
        await audit.record(session, "email.changed", by=actor, target=("user", user.id), clock=clock)
    return moved

"""Forgetting what is over: dead sessions and links, cold counters; state topics get their tombstones."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from auth.repository import api_keys, email_changes, grants, limits, members, messages, passkeys, sessions, sharing
from contracts.auth import ApiKeyChanged, ProjectShareChanged, SessionRevoked
from kit import outbox

KEEP: Final = timedelta(days=30)
"""How long after it could last be valid a revocation stays on its topic (money.md 26)."""
LINKS_KEPT: Final = timedelta(days=1)


async def clean(session: AsyncSession, *, now: datetime) -> None:
    over = await sessions.delete_long_over(session, now=now, keep=KEEP)
    keys = await api_keys.update_tombstoned(session, now=now, keep=KEEP)
    shares = await sharing.update_tombstoned(session, now=now, keep=KEEP)
    await outbox.add_records(
        session,
        [
            *((SessionRevoked.type, str(one).encode(), None) for one in over),
            *((ApiKeyChanged.type, str(one).encode(), None) for one in keys),
            *((ProjectShareChanged.type, str(one).encode(), None) for one in shares),
        ],
    )
    await messages.delete_old_links(session, now=now, keep=LINKS_KEPT)
    await grants.delete_old_codes(session, now=now, keep=LINKS_KEPT)
    await email_changes.delete_expired_changes(session, now=now)
    await members.delete_old_invitations(session, now=now, keep=KEEP)
    await passkeys.delete_expired(session, now=now)
    await limits.delete_forgotten(session, now=now)

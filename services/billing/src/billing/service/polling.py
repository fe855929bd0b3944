"""How far Stripe's list of events was read; asked again with an overlap, because it is not strictly ordered."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.states import StripeEvent
from billing.repository import webhooks
from billing.service.inbox import store_events

OVERLAP: Final = timedelta(minutes=5)
FIRST_LOOK_BACK: Final = timedelta(hours=1)
LONGEST_LOOK_BACK: Final = timedelta(days=30)


async def next_since(session: AsyncSession, *, now: datetime) -> datetime:
    """From when on to ask for events; Stripe lists thirty days."""
    seen_until = await webhooks.find_seen_until(session)
    if seen_until is None:
        return now - FIRST_LOOK_BACK
    return max(seen_until - OVERLAP, now - LONGEST_LOOK_BACK)


async def store_polled(session: AsyncSession, events: Sequence[StripeEvent], *, since: datetime, now: datetime) -> int:
    """Store what the list had and remember how far it reached; how many events no webhook had brought.

    The place is told by Stripe's times, so that a clock of ours that is wrong skips nothing.
    """
    new = await store_events(session, sorted(events, key=lambda event: event.created_at), source="poll", now=now)
    reached = max((event.created_at for event in events), default=since + OVERLAP)
    await webhooks.save_seen_until(session, reached)
    return new

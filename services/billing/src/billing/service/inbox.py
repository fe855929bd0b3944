"""The webhook inbox: stored before it is acknowledged, applied or parked with a reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy.ext.asyncio import AsyncSession

from billing import metrics
from billing.domain.states import StripeEvent
from billing.errors import LeaseLostError, NotOursError, PaymentRefusedError
from billing.repository import webhooks
from billing.service.reading import HANDLED
from kit import logging
from kit.errors import DomainError, UnavailableError

log = logging.get(__name__)

MOST_ATTEMPTS: Final = 12
LONGEST_WAIT_S: Final = 300.0
LEASE: Final = timedelta(seconds=10)
_ATTEMPTS_OF_BACK_OFF: Final = 10

Source = Literal["webhook", "poll"]


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one customer's events, until another holder's greater fencing number."""

    key: str
    fence: int


async def store_events(session: AsyncSession, events: Sequence[StripeEvent], *, source: Source, now: datetime) -> int:
    """Store events once by their ids; types that nothing here depends on are kept as ignored. How many are new."""
    new = await webhooks.insert_events(
        session, [(event, "pending" if event.type in HANDLED else "ignored") for event in events], now=now
    )
    if new:
        for event in events:
            kind = event.type if event.type in HANDLED else "other"
            metrics.WEBHOOKS_RECEIVED.labels(kind, source).inc()
    return new


async def list_due(session: AsyncSession, *, now: datetime, limit: int) -> list[StripeEvent]:
    return await webhooks.list_due(session, now, limit=limit)


async def take_lease(session: AsyncSession, key: str, *, now: datetime) -> Lease | None:
    """A lease, to be committed before anything is read from Stripe; None while another worker has it."""
    fence = await webhooks.take_lease(session, key, now=now, until=now + LEASE)
    return Lease(key, fence) if fence is not None else None


async def release_lease(session: AsyncSession, lease: Lease, *, now: datetime) -> None:
    await webhooks.release_lease(session, lease.key, fence=lease.fence, now=now)


async def check_lease(session: AsyncSession, lease: Lease) -> None:
    """Raise `LeaseLostError` when another worker has taken the customer over; in the transaction that applies."""
    if await webhooks.lock_lease(session, lease.key) != lease.fence:
        raise LeaseLostError("Another worker took this customer over.")


async def begin_applying(session: AsyncSession, events: Sequence[StripeEvent], lease: Lease) -> list[str]:
    """Which of the events are still to be applied, and by us; in the transaction that applies them."""
    await check_lease(session, lease)
    return await webhooks.lock_pending(session, [event.id for event in events])


async def mark_applied(session: AsyncSession, event_ids: Sequence[str]) -> None:
    await webhooks.set_states(session, event_ids, "applied")
    metrics.WEBHOOKS_ENDED.labels("applied").inc(len(event_ids))


async def set_back(session: AsyncSession, event: StripeEvent, error: DomainError, *, now: datetime) -> None:
    """Decide what becomes of an event that could not be applied: later, never, or a person's business."""
    reason = f"{error.code}: {error.detail}"
    if isinstance(error, NotOursError):
        await _end(session, event, "ignored", reason=reason)
        return
    if isinstance(error, PaymentRefusedError):
        await _end(session, event, "failed", reason=reason)
        return
    attempts = await webhooks.count_attempt(session, event.id)
    if attempts >= MOST_ATTEMPTS and not isinstance(error, UnavailableError):
        await _end(session, event, "failed", reason=reason)
        return
    wait_s = min(LONGEST_WAIT_S, 2.0 ** min(attempts - 1, _ATTEMPTS_OF_BACK_OFF) / 2)
    await webhooks.postpone(session, event.id, due_at=now + timedelta(seconds=wait_s), reason=reason)


async def _end(session: AsyncSession, event: StripeEvent, state: str, *, reason: str) -> None:
    await webhooks.set_states(session, [event.id], state, reason=reason)
    metrics.WEBHOOKS_ENDED.labels(state).inc()
    if state == "failed":
        log.error("billing.webhook_failed", event_id=event.id, type=event.type, reason=reason)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as the command shows it."""

    id: str
    type: str
    object_id: str
    state: str
    attempts: int
    received_at: datetime
    reason: str | None


async def list_events(session: AsyncSession, state: str, *, limit: int) -> list[StoredEvent]:
    rows = await webhooks.list_by_state(session, state, limit=limit)
    return [
        StoredEvent(row.id, row.type, row.object_id, row.state, row.attempts, row.received_at, row.reason)
        for row in rows
    ]


async def retry_failed(session: AsyncSession, event_ids: Sequence[str], *, now: datetime) -> list[str]:
    """Failed events, named or all, are tried again; the ids of those that were failed."""
    return await webhooks.retry_failed(session, event_ids, now=now)

"""The webhook inbox, the leases over customers, and the poller's place."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.states import StripeEvent
from billing.tables import LeaseRow, PollRow, WebhookEventRow

_POLL = 1
# With the rows as parameters it is compiled once; with the rows in it, anew for each webhook.
_STORE = insert(WebhookEventRow).on_conflict_do_nothing().returning(WebhookEventRow.id)


async def insert_events(session: AsyncSession, events: Sequence[tuple[StripeEvent, str]], *, now: datetime) -> int:
    """Store events with their first state, by one statement; those that are known stay. How many are new."""
    if not events:
        return 0
    rows = [
        {
            "id": event.id,
            "type": event.type,
            "object_id": event.object_id,
            "lease_key": event.lease_key,
            "created_at": event.created_at,
            "received_at": now,
            "state": state,
            "attempts": 0,
            "due_at": now,
        }
        for event, state in sorted(events, key=lambda pair: pair[0].id)
    ]
    return len((await session.execute(_STORE, rows)).all())


async def list_due(session: AsyncSession, now: datetime, *, limit: int) -> list[StripeEvent]:
    rows = await session.scalars(
        select(WebhookEventRow)
        .where(WebhookEventRow.state == "pending", WebhookEventRow.due_at <= now)
        .order_by(WebhookEventRow.due_at, WebhookEventRow.created_at, WebhookEventRow.id)
        .limit(limit)
    )
    return [_event(row) for row in rows]


async def lock_pending(session: AsyncSession, event_ids: Sequence[str]) -> list[str]:
    """Those that are not applied already, nor being applied elsewhere."""
    found = await session.scalars(
        select(WebhookEventRow.id)
        .where(WebhookEventRow.id.in_(event_ids), WebhookEventRow.state == "pending")
        .order_by(WebhookEventRow.id)
        .with_for_update(skip_locked=True)
    )
    return list(found)


async def set_states(session: AsyncSession, event_ids: Sequence[str], state: str, *, reason: str | None = None) -> None:
    await session.execute(
        update(WebhookEventRow).where(WebhookEventRow.id.in_(event_ids)).values(state=state, reason=reason)
    )


async def count_attempt(session: AsyncSession, event_id: str) -> int:
    """Count one more try; how many there were."""
    attempts: int | None = await session.scalar(
        update(WebhookEventRow)
        .where(WebhookEventRow.id == event_id)
        .values(attempts=WebhookEventRow.attempts + 1)
        .returning(WebhookEventRow.attempts)
    )
    return attempts or 0


async def postpone(session: AsyncSession, event_id: str, *, due_at: datetime, reason: str) -> None:
    await session.execute(
        update(WebhookEventRow)
        .where(WebhookEventRow.id == event_id, WebhookEventRow.state == "pending")
        .values(due_at=due_at, reason=reason)
    )


async def list_by_state(session: AsyncSession, state: str, *, limit: int) -> Sequence[WebhookEventRow]:
    rows = await session.scalars(
        select(WebhookEventRow)
        .where(WebhookEventRow.state == state)
        .order_by(WebhookEventRow.received_at, WebhookEventRow.id)
        .limit(limit)
    )
    return rows.all()


async def retry_failed(session: AsyncSession, event_ids: Sequence[str], *, now: datetime) -> list[str]:
    """Failed events (all of them when none is named) are pending again."""
    statement = update(WebhookEventRow).where(WebhookEventRow.state == "failed")
    if event_ids:
        statement = statement.where(WebhookEventRow.id.in_(event_ids))
    retried = await session.scalars(
        statement.values(state="pending", attempts=0, due_at=now).returning(WebhookEventRow.id)
    )
    return sorted(retried)


async def take_lease(session: AsyncSession, key: str, *, now: datetime, until: datetime) -> int | None:
    """The fencing number of a fresh lease, or None while another worker holds it."""
    statement = insert(LeaseRow).values(key=key, fence=1, held_until=until)
    fence: int | None = await session.scalar(
        statement.on_conflict_do_update(
            index_elements=["key"],
            set_={"fence": LeaseRow.fence + 1, "held_until": until},
            where=LeaseRow.held_until <= now,
        ).returning(LeaseRow.fence)
    )
    return fence


async def lock_lease(session: AsyncSession, key: str) -> int | None:
    """The present fencing number; nobody overtakes until this transaction ends."""
    fence: int | None = await session.scalar(select(LeaseRow.fence).where(LeaseRow.key == key).with_for_update())
    return fence


async def release_lease(session: AsyncSession, key: str, *, fence: int, now: datetime) -> None:
    await session.execute(update(LeaseRow).where(LeaseRow.key == key, LeaseRow.fence == fence).values(held_until=now))


async def find_seen_until(session: AsyncSession) -> datetime | None:
    seen_until: datetime | None = await session.scalar(select(PollRow.seen_until).where(PollRow.id == _POLL))
    return seen_until


async def save_seen_until(session: AsyncSession, seen_until: datetime) -> None:
    await session.execute(
        insert(PollRow)
        .values(id=_POLL, seen_until=seen_until)
        .on_conflict_do_update(index_elements=["id"], set_={"seen_until": seen_until})
    )


def _event(row: WebhookEventRow) -> StripeEvent:
    return StripeEvent(row.id, row.type, row.object_id, row.lease_key, row.created_at)

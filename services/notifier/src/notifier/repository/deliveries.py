"""Deliveries: queued once, claimed, settled, listed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Select, delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from notifier.domain.delivering import Claimed, Delivery, Notice, Outcome, State
from notifier.domain.kinds import Audience
from notifier.tables import DeliveryRow, DigestItemRow

Position = tuple[datetime, UUID]
Lane = Literal["mails", "targets"]


async def insert_delivery(
    session: AsyncSession, notice: Notice, *, delivery_id: UUID, now: datetime, due_at: datetime | None = None
) -> bool:
    """False when a delivery with this dedupe key is there already."""
    inserted = await session.execute(
        insert(DeliveryRow)
        .values(
            id=delivery_id,
            dedupe_key=notice.dedupe_key,
            kind=notice.kind,
            audience=notice.audience,
            account_id=notice.account_id,
            message_id=notice.message_id,
            user_id=notice.user_id,
            channel=notice.channel,
            target_id=notice.target_id,
            priority=notice.priority,
            payload=dict(notice.payload),
            occurred_at=notice.occurred_at,
            created_at=now,
            trying_since=due_at or now,
            next_attempt_at=due_at or now,
        )
        .on_conflict_do_nothing(index_elements=["dedupe_key"])
        .returning(DeliveryRow.id)
    )
    return inserted.first() is not None


async def lock_due_deliveries(
    session: AsyncSession, *, lane: Lane, now: datetime, leased_until: datetime, limit: int
) -> list[Claimed]:
    """Claim due deliveries for one attempt, the urgent ones first; another worker skips them until the lease ends."""
    due = (
        select(DeliveryRow.id)
        .where(
            DeliveryRow.state == State.PENDING,
            DeliveryRow.target_id.is_(None) if lane == "mails" else DeliveryRow.target_id.is_not(None),
            DeliveryRow.next_attempt_at <= now,
        )
        .order_by(DeliveryRow.priority, DeliveryRow.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    rows = await session.scalars(
        update(DeliveryRow)
        .where(DeliveryRow.id == due.c.id)
        .values(attempts=DeliveryRow.attempts + 1, next_attempt_at=leased_until)
        .returning(DeliveryRow),
        execution_options={"synchronize_session": False},
    )
    return [_claimed(row) for row in rows]


def _claimed(row: DeliveryRow) -> Claimed:
    return Claimed(
        id=row.id,
        kind=row.kind,
        audience=Audience(row.audience),
        account_id=row.account_id,
        message_id=row.message_id,
        user_id=row.user_id,
        channel=row.channel,
        target_id=row.target_id,
        payload=row.payload,
        attempts=row.attempts,
        mailed_to=tuple(row.mailed_to),
        occurred_at=row.occurred_at,
        trying_since=row.trying_since,
    )


async def update_delivery(
    session: AsyncSession, claimed: Claimed, outcome: Outcome, *, now: datetime, next_attempt_at: datetime
) -> bool:
    """False when the lease had ended and another attempt has begun: its outcome counts."""
    updated = await session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.id == claimed.id,
            DeliveryRow.state == State.PENDING,
            DeliveryRow.attempts == claimed.attempts,
        )
        .values(
            state=outcome.state,
            reason=outcome.reason,
            mailed_to=list(outcome.mailed_to),
            next_attempt_at=next_attempt_at,
            settled_at=None if outcome.state == State.PENDING else now,
        )
        .returning(DeliveryRow.id)
    )
    return updated.first() is not None


async def list_deliveries(
    session: AsyncSession, *, state: State | None, after: Position | None, limit: int
) -> list[Delivery]:
    """Everyone's deliveries, newest first."""
    query = select(DeliveryRow)
    return await _list(session, query if state is None else query.where(DeliveryRow.state == state), after, limit=limit)


async def list_endpoint_deliveries(
    session: AsyncSession, endpoint_id: UUID, *, after: Position | None, limit: int
) -> list[Delivery]:
    """What went to an endpoint, newest first."""
    return await _list(session, select(DeliveryRow).where(DeliveryRow.target_id == endpoint_id), after, limit=limit)


async def requeue(
    session: AsyncSession,
    endpoint_id: UUID,
    *,
    since: datetime,
    until: datetime | None,
    failed_only: bool,
    now: datetime,
) -> int:
    """Make settled deliveries of an endpoint due again; how many."""
    settled = (State.FAILED, State.SKIPPED) if failed_only else (State.FAILED, State.SKIPPED, State.SENT)
    window = [DeliveryRow.target_id == endpoint_id, DeliveryRow.created_at >= since]
    if until is not None:
        window.append(DeliveryRow.created_at < until)
    changed = await session.execute(
        update(DeliveryRow)
        .where(*window, DeliveryRow.state.in_(settled))
        .values(state=State.PENDING, attempts=0, reason=None, settled_at=None, trying_since=now, next_attempt_at=now)
        .returning(DeliveryRow.id)
    )
    return len(changed.all())


async def postpone_target(session: AsyncSession, endpoint_id: UUID, *, until: datetime) -> None:
    """What else waits for an endpoint that has just failed waits with the one that failed."""
    await session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.target_id == endpoint_id,
            DeliveryRow.state == State.PENDING,
            DeliveryRow.next_attempt_at < until,
        )
        .values(next_attempt_at=until)
    )


async def _list(
    session: AsyncSession, query: Select[DeliveryRow], after: Position | None, *, limit: int
) -> list[Delivery]:
    place = tuple_(DeliveryRow.created_at, DeliveryRow.id)
    if after is not None:
        query = query.where(place < after)
    newest_first = query.order_by(DeliveryRow.created_at.desc(), DeliveryRow.id.desc()).limit(limit)
    return [_delivery(row) for row in await session.scalars(newest_first)]


def _delivery(row: DeliveryRow) -> Delivery:
    return Delivery(
        id=row.id,
        kind=row.kind,
        audience=Audience(row.audience),
        account_id=row.account_id,
        channel=row.channel,
        state=State(row.state),
        attempts=row.attempts,
        reason=row.reason,
        created_at=row.created_at,
        next_attempt_at=row.next_attempt_at if row.state == State.PENDING else None,
        settled_at=row.settled_at,
    )


async def count_pending(session: AsyncSession, *, now: datetime) -> tuple[int, datetime | None]:
    """How many deliveries should have gone out and have not, and since when the oldest waits."""
    waiting = (DeliveryRow.state == State.PENDING, DeliveryRow.trying_since <= now)
    row = (await session.execute(select(func.count(), func.min(DeliveryRow.trying_since)).where(*waiting))).one()
    return int(row[0]), row[1]


async def delete_old(session: AsyncSession, *, before: datetime, limit: int) -> int:
    """Delete settled deliveries made before an instant, oldest first; how many. What digests said of them goes too."""
    old = (
        select(DeliveryRow.id)
        .where(DeliveryRow.created_at < before, DeliveryRow.state != State.PENDING)
        .order_by(DeliveryRow.created_at, DeliveryRow.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("old")
    )
    gone = await session.execute(delete(DeliveryRow).where(DeliveryRow.id == old.c.id).returning(DeliveryRow.id))
    return len(gone.all())


async def find_delivery_id(session: AsyncSession, dedupe_key: str) -> UUID | None:
    return await session.scalar(select(DeliveryRow.id).where(DeliveryRow.dedupe_key == dedupe_key))


async def insert_digest_item(session: AsyncSession, digest_id: UUID, notice_id: UUID) -> None:
    values = {"digest_id": digest_id, "notice_id": notice_id}
    await session.execute(insert(DigestItemRow).values(**values).on_conflict_do_nothing())


async def list_digest_items(
    session: AsyncSession, digest_id: UUID
) -> Sequence[tuple[str, Mapping[str, Any], datetime]]:
    """Kind, payload and instant of what a digest tells, oldest first."""
    rows = await session.execute(
        select(DeliveryRow.kind, DeliveryRow.payload, DeliveryRow.occurred_at)
        .join(DigestItemRow, DigestItemRow.notice_id == DeliveryRow.id)
        .where(DigestItemRow.digest_id == digest_id)
        .order_by(DeliveryRow.occurred_at, DeliveryRow.id)
    )
    return [(row.kind, row.payload, row.occurred_at) for row in rows]

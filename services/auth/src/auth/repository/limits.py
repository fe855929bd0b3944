"""Counters behind the limits; keys are hashes, so that no address stands here."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import DateTime, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.limits import FORGET_S, Bucket, Failures
from auth.tables import BucketRow, FailureRow


async def lock_failures(session: AsyncSession, keys: Sequence[bytes], *, now: datetime) -> dict[bytes, Failures]:
    """The counters of these keys, made when missing, locked in order of key."""
    ordered = sorted(keys)
    await session.execute(
        insert(FailureRow).on_conflict_do_nothing(), [{"key": key, "attempts": 0, "last_at": now} for key in ordered]
    )
    rows = await session.execute(
        select(FailureRow.key, FailureRow.attempts, FailureRow.last_at, FailureRow.blocked_until)
        .where(FailureRow.key.in_(ordered))
        .order_by(FailureRow.key)
        .with_for_update()
    )
    return {row.key: Failures(row.attempts, row.last_at, row.blocked_until) for row in rows}


async def update_failures(session: AsyncSession, counted: Mapping[bytes, Failures]) -> None:
    for key in sorted(counted):
        failures = counted[key]
        await session.execute(
            update(FailureRow)
            .where(FailureRow.key == key)
            .values(attempts=failures.attempts, last_at=failures.last_at, blocked_until=failures.blocked_until)
        )


async def refund_failures(session: AsyncSession, keys: Sequence[bytes]) -> None:
    """The attempt was no failure after all."""
    for key in sorted(keys):
        await session.execute(
            update(FailureRow)
            .where(FailureRow.key == key)
            .values(attempts=func.greatest(FailureRow.attempts - 1, 0), blocked_until=None)
        )


async def take(session: AsyncSession, key: bytes, bucket: Bucket, *, now: datetime) -> int:
    """Take one from a bucket: 0, or the seconds to wait, with nothing taken."""
    level = func.greatest(BucketRow.full_at, now, type_=DateTime(timezone=True))
    statement = (
        insert(BucketRow)
        .values(key=key, full_at=now + bucket.interval)
        .on_conflict_do_update(
            index_elements=["key"],
            set_={"full_at": level + bucket.interval},
            where=level <= now + bucket.span - bucket.interval,
        )
        .returning(BucketRow.full_at)
    )
    if (await session.execute(statement)).first() is not None:
        return 0
    full_at = await session.scalar(select(BucketRow.full_at).where(BucketRow.key == key))
    return 1 if full_at is None else max(1, int((full_at + bucket.interval - bucket.span - now).total_seconds()) + 1)


async def delete_forgotten(session: AsyncSession, *, now: datetime) -> None:
    await session.execute(delete(FailureRow).where(FailureRow.last_at < now - timedelta(seconds=FORGET_S)))
    await session.execute(delete(BucketRow).where(BucketRow.full_at < now))

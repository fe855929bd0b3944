"""Counters behind the limits; keys are hashes, so that no address stands here."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ARRAY, DateTime, LargeBinary, any_, bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.limits import FORGET_S, Bucket, Failures
from auth.repository.rows import table
from auth.tables import BucketRow, FailureRow

# Each sign-in counts three keys, twice: what that takes is built once, and each step is one round trip.
_TABLE: Final = table(FailureRow)
_FAILURES: Final = _TABLE.c
_MISSING_MADE: Final = (
    insert(_TABLE).values(key=bindparam("of"), attempts=0, last_at=bindparam("at")).on_conflict_do_nothing()
)
_LOCKED: Final = (
    select(_FAILURES.key, _FAILURES.attempts, _FAILURES.last_at, _FAILURES.blocked_until)
    .where(_FAILURES.key == any_(bindparam("of", type_=ARRAY(LargeBinary))))
    .order_by(_FAILURES.key)
    .with_for_update()
)
_COUNTED: Final = (
    update(_TABLE)
    .where(_FAILURES.key == bindparam("of"))
    .values(attempts=bindparam("count"), last_at=bindparam("at"), blocked_until=bindparam("until"))
)
_REFUNDED: Final = (
    update(_TABLE)
    .where(_FAILURES.key == bindparam("of"))
    .values(attempts=func.greatest(_FAILURES.attempts - 1, 0), blocked_until=None)
)


async def lock_failures(session: AsyncSession, keys: Sequence[bytes], *, now: datetime) -> dict[bytes, Failures]:
    """The counters of these keys, made when missing, locked in order of key."""
    ordered = sorted(keys)
    await session.execute(_MISSING_MADE, [{"of": key, "at": now} for key in ordered])
    rows = await session.execute(_LOCKED, {"of": ordered})
    return {row.key: Failures(row.attempts, row.last_at, row.blocked_until) for row in rows}


async def update_failures(session: AsyncSession, counted: Mapping[bytes, Failures]) -> None:
    given = [
        {"of": key, "count": failures.attempts, "at": failures.last_at, "until": failures.blocked_until}
        for key, failures in sorted(counted.items())
    ]
    await session.execute(_COUNTED, given)


async def refund_failures(session: AsyncSession, keys: Sequence[bytes]) -> None:
    """The attempt was no failure after all."""
    await session.execute(_REFUNDED, [{"of": key} for key in sorted(keys)])


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

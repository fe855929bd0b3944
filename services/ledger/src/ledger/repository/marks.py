"""Sums of an account's transfers, from the last mark before an instant on, so that no reader adds up a whole history.

An account's transfers are booked in the order of their sequence, but for clocks that differ by less than a minute.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from ledger import tables
from ledger.domain.positions import Sum

_SKEW: Final = timedelta(minutes=1)

_SIDES: Final = """
SELECT side.name, t.kind, t.unit, sum(side.amount)::bigint AS amount
FROM transfer AS t CROSS JOIN LATERAL (VALUES (t.target, t.amount), (t.source, -t.amount)) AS side (name, amount)
WHERE t.account_id = :account_id AND {which}
    AND (side.name LIKE 'grant:%' OR side.name LIKE 'debt:%' OR side.name LIKE 'receivable:%')
GROUP BY side.name, t.kind, t.unit
"""
BETWEEN: Final = _SIDES.format(which="t.seq > :after AND t.seq <= :until")
COUNTED: Final = _SIDES.format(
    which="t.seq > :after AND t.seq <= :until AND t.booked_at <= :at AND t.effective_at <= :at"
)
# Booked before the mark, and in force only after the instant that is asked about.
AHEAD: Final = _SIDES.format(which="t.seq <= :after AND t.effective_at > t.booked_at AND t.effective_at > :at")
_END: Final = (1 << 63) - 1


async def find_mark(session: AsyncSession, account_id: UUID, *, at: datetime | None = None) -> Any | None:
    """The last mark, or the last one of transfers that were all booked by `at`."""
    columns = tables.balance_mark.c
    query = select(tables.balance_mark).where(columns.account_id == account_id)
    if at is not None:
        query = query.where(columns.booked_at <= at)
    return (await session.execute(query.order_by(columns.seq.desc()).limit(1))).one_or_none()


async def find_seq_after(session: AsyncSession, account_id: UUID, at: datetime) -> int:
    """A sequence number behind which nothing was booked by `at`."""
    columns = tables.balance_mark.c
    query = select(columns.seq).where(columns.account_id == account_id, columns.booked_at > at + _SKEW)
    return await session.scalar(query.order_by(columns.seq).limit(1)) or _END


async def find_seq_before(session: AsyncSession, account_id: UUID, at: datetime) -> int:
    """A sequence number up to which everything was booked before `at`."""
    columns = tables.balance_mark.c
    query = select(columns.seq).where(columns.account_id == account_id, columns.booked_at < at - _SKEW)
    return await session.scalar(query.order_by(columns.seq.desc()).limit(1)) or 0


async def sum_counted(
    session: AsyncSession, account_id: UUID, *, after: int, until: int, at: datetime
) -> tuple[list[Sum], list[Sum]]:
    """What counts at an instant of the transfers behind a mark, and what does not yet of those before it."""
    values = {"account_id": account_id, "after": after, "until": until, "at": at}
    counted = await session.execute(text(COUNTED), values)
    sums = [(row.name, row.kind, row.unit, row.amount) for row in counted]
    if not after:
        return sums, []
    ahead = await session.execute(text(AHEAD), {"account_id": account_id, "after": after, "at": at})
    return sums, [(row.name, row.kind, row.unit, row.amount) for row in ahead]


async def sum_between(session: AsyncSession, account_id: UUID, *, after: int, until: int) -> tuple[list[Sum], datetime]:
    """All transfers of a range, and when the last of them was booked."""
    values = {"account_id": account_id, "after": after, "until": until}
    rows = await session.execute(text(BETWEEN), values)
    sums = [(row.name, row.kind, row.unit, row.amount) for row in rows]
    newest = "SELECT max(booked_at) FROM transfer WHERE account_id = :account_id AND seq > :after AND seq <= :until"
    booked_at = await session.scalar(text(newest), values)
    assert booked_at is not None
    return sums, booked_at


async def insert_mark(
    session: AsyncSession, account_id: UUID, *, seq: int, booked_at: datetime, sums: dict[str, Any]
) -> None:
    values = {"account_id": account_id, "seq": seq, "booked_at": booked_at, "sums": sums}
    await session.execute(insert(tables.balance_mark).values(values).on_conflict_do_nothing())


async def list_unmarked(session: AsyncSession, *, step: int, limit: int) -> Sequence[Any]:
    """Accounts, each with its newest sequence number, that moved on by more than `step` since their last mark."""
    query = """
        SELECT a.id, a.transfer_seq FROM account AS a
        WHERE a.transfer_seq >= :step AND a.transfer_seq - coalesce(
            (SELECT max(m.seq) FROM balance_mark AS m WHERE m.account_id = a.id), 0) >= :step
        ORDER BY a.id LIMIT :limit
    """
    return (await session.execute(text(query), {"step": step, "limit": limit})).all()

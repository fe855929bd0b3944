"""What gateways counted, and what the books hold of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, exists, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.gateway import CallsCounted, UsageRecorded
from kit.received import StoredRecord
from kit.tables import parked_table
from ledger import tables
from ledger.domain.reconciling import Counted, Reconciliation, Window

# Admission and id are a minute apart at most; a day more costs nothing and keeps the partitions that matter.
_MARGIN: Final = timedelta(days=1)


async def upsert_count(session: AsyncSession, event: CallsCounted) -> None:
    """A minute that is told twice counts what was more: an admission is never taken back."""
    statement = insert(tables.calls_counted).values(
        gateway_instance=event.gateway_instance,
        window_start=event.window_start,
        window_end=event.window_end,
        admitted=event.admitted,
    )
    most = func.greatest(tables.calls_counted.c.admitted, statement.excluded.admitted)
    await session.execute(
        statement.on_conflict_do_update(index_elements=["gateway_instance", "window_start"], set_={"admitted": most})
    )


async def list_counts(session: AsyncSession, window: Window) -> dict[str, Counted]:
    """Per instance that ever counted before the window's end, what it said of the window."""
    columns = tables.calls_counted.c
    inside = and_(columns.window_start >= window.start, columns.window_start < window.end)
    rows = await session.execute(
        select(
            columns.gateway_instance,
            func.coalesce(func.sum(columns.admitted).filter(inside), 0).label("admitted"),
            func.count().filter(inside).label("minutes"),
            func.min(columns.window_start).label("first_minute"),
            func.max(columns.window_start).label("last_minute"),
        )
        .where(columns.window_start < window.end)
        .group_by(columns.gateway_instance)
    )
    return {
        row.gateway_instance: Counted(int(row.admitted), int(row.minutes), row.first_minute, row.last_minute)
        for row in rows
    }


async def count_booked(session: AsyncSession, window: Window) -> dict[str, int]:
    """Distinct calls per instance with a row in the books, by the instant of their admission."""
    detail = tables.usage_detail.c
    rows = await session.execute(
        select(detail.gateway_instance, func.count().label("number"))
        .where(*_within(window))
        .group_by(detail.gateway_instance)
    )
    return {row.gateway_instance: int(row.number) for row in rows}


async def list_booked_ids(session: AsyncSession, window: Window, *, instance: str) -> set[UUID]:
    detail = tables.usage_detail.c
    rows = await session.scalars(select(detail.id).where(*_within(window), detail.gateway_instance == instance))
    return set(rows)


async def list_charged_ids(session: AsyncSession, call_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the ids with a charge under whichever account; a stray id is looked for in its month's partition."""
    columns = tables.charge.c
    return set(await session.scalars(select(columns.id).where(columns.id.in_(call_ids))))


async def list_parked_usage(session: AsyncSession, group: str) -> list[StoredRecord]:
    columns = parked_table.c
    rows = await session.execute(
        select(parked_table)
        .where(columns.consumer == group, columns.topic == UsageRecorded.type)
        .order_by(columns.parked_at, columns.id)
    )
    return [StoredRecord(row.topic, row.partition, row.record_offset, row.key, row.value) for row in rows]


async def list_open_windows(session: AsyncSession, *, since: datetime) -> list[Window]:
    """The windows that did not agree, or of which a gateway that was silent may have told since."""
    columns, counted = tables.reconciliation.c, tables.calls_counted.c
    came_back = exists().where(
        counted.gateway_instance == columns.gateway_instance, counted.window_start >= columns.window_end
    )
    rows = await session.execute(
        select(columns.window_start, columns.window_end)
        .where(columns.window_start >= since, or_(~columns.is_equal, and_(columns.silent_minutes > 0, came_back)))
        .distinct()
        .order_by(columns.window_start)
    )
    return [Window(row.window_start, row.window_end) for row in rows]


async def list_differences(session: AsyncSession, *, since: datetime) -> list[tuple[str, int, int]]:
    """Per instance, by how many calls its windows differ and of how many minutes it said nothing."""
    columns = tables.reconciliation.c
    accounted = columns.booked + columns.parked + columns.set_aside
    differing = func.greatest(func.cardinality(columns.missing), func.abs(columns.admitted - accounted))
    rows = await session.execute(
        select(
            columns.gateway_instance,
            func.coalesce(func.sum(differing).filter(~columns.is_equal), 0),
            func.sum(columns.silent_minutes),
        )
        .where(columns.window_start >= since)
        .group_by(columns.gateway_instance)
    )
    return [(str(row[0]), int(row[1]), int(row[2])) for row in rows]


async def last_window_end(session: AsyncSession) -> datetime | None:
    """Up to where the schedule has come."""
    found: datetime | None = await session.scalar(select(func.max(tables.reconciliation.c.window_end)))
    return found


async def first_counted(session: AsyncSession) -> datetime | None:
    found: datetime | None = await session.scalar(select(func.min(tables.calls_counted.c.window_start)))
    return found


async def save_reconciliation(session: AsyncSession, found: Reconciliation, *, now: datetime) -> bool:
    """Keep what was found; True when it differs from what was found before."""
    values: dict[str, Any] = {
        "admitted": found.admitted,
        "booked": found.booked,
        "parked": found.parked,
        "set_aside": found.set_aside,
        "silent_minutes": found.silent_minutes,
        "missing": list(found.missing),
        "is_equal": found.is_equal,
    }
    key = {
        "gateway_instance": found.gateway_instance,
        "window_start": found.window.start,
        "window_end": found.window.end,
    }
    columns = tables.reconciliation.c
    before = (
        await session.execute(
            select(*(columns[name] for name in values))
            .where(*(columns[name] == value for name, value in key.items()))
            .with_for_update()
        )
    ).one_or_none()
    statement = insert(tables.reconciliation).values(
        **key, **values, unreachable=list(found.unreachable), checked_at=now
    )
    changed = {**values, "unreachable": list(found.unreachable), "checked_at": now}
    await session.execute(statement.on_conflict_do_update(index_elements=list(key), set_=changed))
    return before is None or dict(zip(values, before, strict=True)) != values


def _within(window: Window) -> list[Any]:
    detail = tables.usage_detail.c
    return [
        detail.admitted_at >= window.start,
        detail.admitted_at < window.end,
        detail.id >= func.uuid7_floor(window.start - _MARGIN),
        detail.id < func.uuid7_floor(window.end + _MARGIN),
    ]

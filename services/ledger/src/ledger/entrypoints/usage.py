"""What was used, by time and by group."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query

from kit.identity import CallerDep
from kit.paging import Cursor, Limit, decode_cursor, decode_instant, encode_cursor
from ledger.domain.usage import COLUMNS, Granularity, Group, UsageQuery
from ledger.entrypoints import report_views
from ledger.entrypoints.access import (
    DatabaseDep,
    From,
    NowDep,
    SharedSubjectDep,
    To,
    foreign_cursor,
    window,
)
from ledger.errors import WindowError
from ledger.schemas.usage import UsageAnswer
from ledger.service.reading import Reading

MOST: Final = timedelta(days=400)
MOST_BY_HOUR: Final = timedelta(days=3)
_DAY: Final = timedelta(days=1)

Groups = Annotated[list[Group] | None, Query(description="one row for each; may be given several times")]


async def usage_query(
    *,
    subject: SharedSubjectDep,
    now: NowDep,
    starts_at: From = None,
    ends_at: To = None,
    granularity: Annotated[Granularity, Query()] = "day",
    group_by: Groups = None,
) -> UsageQuery:
    """Windows are widened to whole buckets: daily sums are kept by UTC day."""
    groups = tuple(group_by or ())
    if len(set(groups)) != len(groups):
        raise WindowError("names a group twice", field="group_by")
    by_hour = granularity == "hour"
    first, last = window(
        starts_at, ends_at, now=now, default=_DAY if by_hour else 30 * _DAY, most=MOST_BY_HOUR if by_hour else MOST
    )
    return UsageQuery(
        **asdict(subject),
        starts_at=_floor(first, by_hour=by_hour),
        ends_at=_ceiling(last, by_hour=by_hour),
        granularity=granularity,
        groups=groups,
    )


QueryDep = Annotated[UsageQuery, Depends(usage_query)]


def build_router(reading: Reading) -> APIRouter:
    router = APIRouter(tags=["me"])

    @router.get("/ledger/usage", summary="Calls, tokens by class and prices, by time and by group")
    async def usage(
        *, caller: CallerDep, wanted: QueryDep, database: DatabaseDep, limit: Limit = 200, cursor: Cursor = None
    ) -> UsageAnswer:
        async with database.reading() as session:
            rows = await reading.usage(session, wanted, after=_position(cursor, wanted), limit=limit + 1)
        shown = rows[:limit]
        more = _cursor(shown[-1], wanted) if len(rows) > limit else None
        return report_views.usage_answer(wanted, shown, for_operator=caller.operator, next_cursor=more)

    return router


def _floor(at: datetime, *, by_hour: bool) -> datetime:
    if by_hour:
        return at.replace(minute=0, second=0, microsecond=0)
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def _ceiling(at: datetime, *, by_hour: bool) -> datetime:
    floor = _floor(at, by_hour=by_hour)
    return floor if floor == at else floor + (timedelta(hours=1) if by_hour else _DAY)


def _cursor(row: Any, wanted: UsageQuery) -> str:
    groups = (str(getattr(row, COLUMNS[group])) for group in wanted.groups)
    return encode_cursor(row.bucket.astimezone(UTC).isoformat(), *groups)


def _position(cursor: str | None, wanted: UsageQuery) -> list[Any] | None:
    if cursor is None:
        return None
    bucket, *groups = decode_cursor(cursor, parts=1 + len(wanted.groups))
    if not all(isinstance(group, str) for group in groups):
        raise foreign_cursor()
    return [decode_instant(bucket), *groups]

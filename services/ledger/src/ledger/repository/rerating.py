"""Booked charges, page by page, and their corrections."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from ledger import tables
from ledger.domain.correcting import Posted
from ledger.domain.rerating import Booked, Correction, Place
from ledger.repository.driver import driver

# Admission and id are a minute apart at most; a day more costs nothing and keeps the partitions that matter.
_MARGIN: Final = timedelta(days=1)
_PATIENCE_S: Final = 600.0
_NOWHERE: Final = UUID(int=0)
_tuple: Final = tuple.__new__
"""What `Booked(…)` comes to, without a call of Python."""
_JSON: Final = (Booked._fields.index("iterations"), Booked._fields.index("operation"))

_CORRECTED: Final = """
LEFT JOIN LATERAL (
    SELECT price_nano, cost_nano FROM charge_correction
    WHERE account_id = c.account_id AND call_id = c.id ORDER BY n DESC LIMIT 1
) AS k ON true
"""
_COLUMNS: Final = """
c.outcome, c.markup_bps, c.model, c.admitted_at, c.plan_id, c.plan_version, c.plan_tokens, c.plan_requests,
c.overage_nano, coalesce(d.input_tokens, 0), coalesce(d.cache_write_5m_tokens, 0),
coalesce(d.cache_write_1h_tokens, 0), coalesce(d.cache_read_tokens, 0), coalesce(d.output_tokens, 0),
coalesce(d.web_search_requests, 0), coalesce(d.web_fetch_requests, 0), coalesce(d.code_execution_requests, 0),
d.iterations::text, d.operation::text, d.service_tier, d.inference_geo, d.speed, d.first_seq, d.last_seq,
d.project_id, d.api_key_id, d.user_id
"""
_WINDOW: Final = """
FROM charge AS c LEFT JOIN usage_detail AS d ON d.account_id = c.account_id AND d.id = c.id
"""


@dataclass(frozen=True, slots=True)
class Span:
    """Which charges are rated again: by the instant of their admission, of one account or of all."""

    start: datetime
    end: datetime
    account_id: UUID | None


async def has_corrections(session: AsyncSession) -> bool:
    return bool(await session.scalar(text("SELECT EXISTS (SELECT FROM charge_correction)")))


async def stream_booked(
    session: AsyncSession,
    span: Span,
    *,
    after: Place | None,
    most: int | None,
    page: int,
    is_corrected: bool,
) -> AsyncGenerator[list[Booked]]:
    """The next charges in the order of account and call, at the price that holds now, page by page out of one query."""
    price = "coalesce(k.price_nano, c.price_nano), coalesce(k.cost_nano, c.cost_nano)"
    query = f"""
        SELECT c.account_id, c.id, {price if is_corrected else "c.price_nano, c.cost_nano"}, {_COLUMNS} {_WINDOW}
        AND d.id >= uuid7_floor($1) AND d.id < uuid7_floor($2) AND (d.account_id, d.id) > ($3, $4)
        {_CORRECTED if is_corrected else ""}
        WHERE c.id >= uuid7_floor($1) AND c.id < uuid7_floor($2) AND c.admitted_at >= $1 + interval '1 day'
            AND c.admitted_at < $2 - interval '1 day' AND (c.account_id, c.id) > ($3, $4)
            {"AND c.account_id = $6" if span.account_id else ""}
        ORDER BY c.account_id, c.id LIMIT $5
    """
    own = [span.account_id] if span.account_id else []
    values = (span.start - _MARGIN, span.end + _MARGIN, *(after or (_NOWHERE, _NOWHERE)), most, *own)
    async with driver(session) as connection:
        cursor = await connection.cursor(query, *values, timeout=_PATIENCE_S)
        while rows := await cursor.fetch(page, timeout=_PATIENCE_S):
            yield [_booked(row) for row in rows]


async def list_corrected(session: AsyncSession, calls: Sequence[Booked]) -> dict[Place, tuple[int, int, int]]:
    """Price, cost and number of corrections of those calls that have any, as they are under the accounts' locks."""
    async with driver(session) as connection:
        rows = await connection.fetch(
            """
            SELECT w.account_id, w.id, k.price_nano, k.cost_nano, k.n
            FROM unnest($1::uuid[], $2::uuid[]) AS w(account_id, id), LATERAL (
                SELECT price_nano, cost_nano, n FROM charge_correction
                WHERE account_id = w.account_id AND call_id = w.id ORDER BY n DESC LIMIT 1
            ) AS k
            """,
            [call.account_id for call in calls],
            [call.call_id for call in calls],
        )
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in rows}


async def list_movements(session: AsyncSession, calls: Sequence[Booked]) -> dict[Place, list[Any]]:
    """Per call, its own burns, and what was given back of them or charged more since."""
    found: dict[Place, list[Any]] = defaultdict(list)
    if not calls:
        return found
    async with driver(session) as connection:
        own = await connection.fetch(
            """
            SELECT t.account_id, t.charge_id, t.seq, t.source, t.target, t.unit, t.amount, t.grant_id, t.kind
            FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS w(account_id, first_seq, last_seq), LATERAL (
                SELECT * FROM transfer WHERE account_id = w.account_id AND seq BETWEEN w.first_seq AND w.last_seq
            ) AS t WHERE t.kind = 'deduction'
            """,
            [call.account_id for call in calls],
            [call.first_seq for call in calls],
            [call.last_seq for call in calls],
        )
        later = await connection.fetch(
            """
            SELECT account_id, charge_id, seq, source, target, unit, amount, grant_id, kind FROM transfer
            WHERE account_id = ANY($1::uuid[]) AND kind NOT IN ('deduction', 'cost', 'cost_reversal')
                AND kind IN ('reversal', 'correction') AND charge_id = ANY($2::uuid[])
            """,
            list({call.account_id for call in calls}),
            [call.call_id for call in calls],
        )
    for row in (*own, *later):
        found[row[0], row[1]].append(_Movement(*row[2:]))
    return found


async def insert_corrections(
    session: AsyncSession,
    corrections: Sequence[tuple[Correction, int, Posted]],
    *,
    run_id: UUID,
    version: int,
    now: datetime,
) -> None:
    """A row per correction with its number and its transfers; by COPY."""
    names = ("account_id", "call_id", "n", "run_id", "price_book_version", "price_nano", "cost_nano")
    records = [
        (one.call.account_id, one.call.call_id, n, run_id, version, *one.new, *posted[:2], now)
        for one, n, posted in corrections
    ]
    async with driver(session) as connection:
        await connection.copy_records_to_table(
            "charge_correction", columns=(*names, "first_seq", "last_seq", "booked_at"), records=records
        )


async def find_open_run(session: AsyncSession, span: Span, *, version: int) -> Any | None:
    """The same re-rating, begun and not finished."""
    columns = tables.rerate_run.c
    rows = await session.execute(
        select(tables.rerate_run)
        .where(
            columns.price_book_version == version,
            columns.window_start == span.start,
            columns.window_end == span.end,
            columns.account_id.is_not_distinct_from(span.account_id),
            columns.finished_at.is_(None),
        )
        .order_by(columns.started_at)
        .limit(1)
    )
    return rows.one_or_none()


async def insert_run(session: AsyncSession, run_id: UUID, span: Span, *, version: int, now: datetime) -> None:
    await session.execute(
        tables.rerate_run.insert().values(
            id=run_id,
            price_book_version=version,
            window_start=span.start,
            window_end=span.end,
            account_id=span.account_id,
            charges=0,
            corrected=0,
            price_nano=0,
            cost_nano=0,
            started_at=now,
        )
    )


async def update_run(
    session: AsyncSession, run_id: UUID, *, after: Place, charges: int, moved: Sequence[Correction]
) -> None:
    """Note how far a run has come, in the transaction of what it moved."""
    columns = tables.rerate_run.c
    await session.execute(
        tables.rerate_run.update()
        .where(columns.id == run_id)
        .values(
            after_account_id=after[0],
            after_call_id=after[1],
            charges=columns.charges + charges,
            corrected=columns.corrected + len(moved),
            price_nano=columns.price_nano + sum(one.price_difference_nano for one in moved),
            cost_nano=columns.cost_nano + sum(one.cost_difference_nano for one in moved),
        )
    )


async def finish_run(session: AsyncSession, run_id: UUID, *, now: datetime) -> None:
    columns = tables.rerate_run.c
    await session.execute(tables.rerate_run.update().where(columns.id == run_id).values(finished_at=now))


class _Movement(NamedTuple):
    seq: int
    source: str
    target: str
    unit: str
    amount: int
    grant_id: UUID | None
    kind: str


def _booked(row: Any) -> Booked:
    iterations, operation = row[_JSON[0]], row[_JSON[1]]
    if iterations is None and operation is None:
        return _tuple(Booked, row)
    values = list(row)
    values[_JSON[0]] = orjson.loads(iterations) if iterations else None
    values[_JSON[1]] = orjson.loads(operation) if operation else None
    return Booked(*values)

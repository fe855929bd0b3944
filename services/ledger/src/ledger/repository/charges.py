from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.event import Part
from contracts.gateway import Allocation, Counts
from ledger.domain.pricing import CallKey, RatedCall, call_key
from ledger.domain.usage_days import DayKey, Days, DaySums, add
from ledger.repository.driver import driver

# A batch comes in by COPY into a table of the connection's own: twelve arrays as parameters cost the driver more than
# all the rest of the statement.
_STAGING: Final = """
CREATE TEMPORARY TABLE IF NOT EXISTS arriving_charge (
    id uuid, account_id uuid, digest bytea, outcome text, price_nano bigint, cost_nano bigint, unit text,
    price_book_version integer, plan_id text, plan_version integer, markup_bps integer, model text,
    admitted_at timestamptz, booked_at timestamptz
) ON COMMIT DELETE ROWS
"""
_CHARGE_COLUMNS: Final = (
    "id",
    "account_id",
    "digest",
    "outcome",
    "price_nano",
    "cost_nano",
    "unit",
    "price_book_version",
    "plan_id",
    "plan_version",
    "markup_bps",
    "model",
    "admitted_at",
    "booked_at",
)
_CHARGE: Final = ", ".join(_CHARGE_COLUMNS)
_DETAIL_COLUMNS: Final = (
    "id",
    "account_id",
    "project_id",
    "user_id",
    "api_key_id",
    "gateway_instance",
    "surface",
    "streamed",
    "model_asked",
    "model_served",
    "route",
    "outcome",
    "basis",
    "http_status",
    "error_type",
    "service_tier",
    "inference_geo",
    "speed",
    "admitted_at",
    "first_byte_at",
    "ended_at",
    "attempts",
    "upstream_request_id",
)
_COUNTS: Final = tuple(Counts.model_fields)
_DETAIL_TABLE: Final = (*_DETAIL_COLUMNS, *_COUNTS, "iterations", "allocation", "operation", "first_seq", "last_seq")
_TOKENS: Final = ", ".join(f"d.{name}" for name in DaySums._fields if name in _COUNTS)
_OUTCOME: Final = _DETAIL_COLUMNS.index("outcome")
_details_of = attrgetter(*_DETAIL_COLUMNS)
_counts_of = attrgetter(*_COUNTS)


class StandingCharge(NamedTuple):
    """What is booked under an id."""

    digest: bytes
    outcome: str
    cost_nano: int
    model: str
    plan_id: str | None
    admitted_at: datetime


async def insert_charges(session: AsyncSession, calls: Sequence[RatedCall], *, now: datetime) -> set[CallKey]:
    """Claim calls by their charge rows; the keys that were new. They are inserted in order of id (no deadlocks)."""
    async with driver(session) as connection:
        await _stage(connection, calls, now=now)
        rows = await connection.fetch(
            f"""
            INSERT INTO charge ({_CHARGE}) SELECT {_CHARGE} FROM arriving_charge ORDER BY id
            ON CONFLICT DO NOTHING RETURNING account_id, id
            """  # noqa: S608  # our own column names
        )
    return {call_key(row[0], row[1]) for row in rows}


async def list_charges(session: AsyncSession, calls: Sequence[RatedCall]) -> dict[CallKey, StandingCharge]:
    """What stands under the ids of these calls; ask under the accounts' locks."""
    if not calls:
        return {}
    async with driver(session) as connection:
        rows = await connection.fetch(
            """
            SELECT account_id, id, digest, outcome, cost_nano, model, plan_id, admitted_at FROM charge
            JOIN unnest($1::uuid[], $2::uuid[]) AS n(account_id, id) USING (account_id, id)
            """,
            *_ids(calls),
        )
    return {call_key(row[0], row[1]): StandingCharge(*row[2:]) for row in rows}


async def replace_charges(
    session: AsyncSession,
    calls: Mapping[CallKey, RatedCall],
    *,
    orphans: Mapping[CallKey, StandingCharge],
    now: datetime,
) -> Days:
    """Put the real ends in the place of orphaned ones (money.md 14); what the orphans had added to their days."""
    values = ", ".join(f"{name} = n.{name}" for name in _CHARGE_COLUMNS if name not in {"id", "account_id"})
    async with driver(session) as connection:
        await _stage(connection, list(calls.values()), now=now)
        await connection.execute(
            f"""
            UPDATE charge AS c SET {values}, booked_xid = DEFAULT FROM arriving_charge AS n
            WHERE c.account_id = n.account_id AND c.id = n.id AND c.outcome = 'orphaned'
            """  # noqa: S608  # our own column names
        )
        rows = await connection.fetch(
            f"""
            DELETE FROM usage_detail AS d USING unnest($1::uuid[], $2::uuid[]) AS n(account_id, id)
            WHERE d.account_id = n.account_id AND d.id = n.id
            RETURNING d.account_id, d.id, d.project_id, d.api_key_id, d.user_id, {_TOKENS}
            """,  # noqa: S608  # our own column names
            *_ids(list(calls.values())),
        )
    days: Days = {}
    for row in rows:
        orphan = orphans[call_key(row[0], row[1])]
        key = DayKey(row[0], orphan.admitted_at.date(), orphan.plan_id or "", orphan.model, *row[2:5])
        add(days, key, DaySums._make((1, 1, *row[5:], 0, 0, 0, 0, 0, orphan.cost_nano, 0)))
    return days


async def insert_details(session: AsyncSession, calls: Mapping[CallKey, tuple[RatedCall, tuple[int, int]]]) -> None:
    """What the list of calls shows, with the range of each call's transfers."""
    if not calls:
        return
    records = [_detail(call, seqs) for call, seqs in calls.values()]
    async with driver(session) as connection:
        await connection.copy_records_to_table("usage_detail", columns=_DETAIL_TABLE, records=records)


async def _stage(connection: Any, calls: Sequence[RatedCall], *, now: datetime) -> None:
    await connection.execute(_STAGING)
    # What an earlier batch of the same transaction left.
    await connection.execute("DELETE FROM arriving_charge")
    records = [
        (
            call.event.id,
            call.event.account_id,
            call.digest,
            call.outcome,
            call.price_nano,
            call.cost_nano,
            "credit",
            call.book_version,
            call.event.plan_id,
            call.event.plan_version,
            call.event.markup_bps,
            call.model,
            call.event.admitted_at,
            now,
        )
        for call in calls
    ]
    await connection.copy_records_to_table("arriving_charge", columns=_CHARGE_COLUMNS, records=records)


def _ids(calls: Sequence[RatedCall]) -> tuple[list[UUID], list[UUID]]:
    return [call.event.account_id for call in calls], [call.event.id for call in calls]


def _detail(call: RatedCall, seqs: tuple[int, int]) -> tuple[Any, ...]:
    event = call.event
    iterations, allocation = event.iterations, event.allocation
    return (
        *(_details_of(event) if call.duplicate_of is None else _with_outcome(_details_of(event), call.outcome)),
        *_counts_of(event.counts),
        _iterations(iterations) if iterations else None,
        _allocation(allocation) if allocation else None,
        _operation(call) if event.operation else None,
        *seqs,
    )


def _with_outcome(details: tuple[Any, ...], outcome: str) -> tuple[Any, ...]:
    return (*details[:_OUTCOME], outcome, *details[_OUTCOME + 1 :])


def _iterations(parts: Sequence[Part]) -> str:
    return orjson.dumps([part.model_dump(mode="json") for part in parts]).decode()


def _allocation(parts: Sequence[Allocation]) -> str:
    shown = [{"slice_id": str(one.slice_id), "unit": one.unit, "amount": str(one.amount)} for one in parts]
    return orjson.dumps(shown).decode()


def _operation(call: RatedCall) -> str:
    operation = call.event.operation
    assert operation is not None
    shown = {**operation.model_dump(mode="json"), "duplicate_of": call.duplicate_of and str(call.duplicate_of)}
    return orjson.dumps(shown).decode()

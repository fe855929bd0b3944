from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.gateway import Counts
from ledger.domain.pricing import RatedCall
from ledger.repository.driver import driver

Key = tuple[UUID, UUID]
COUNTS = tuple(Counts.model_fields)

_UNNESTED = """unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::text[], $5::bigint[], $6::bigint[], $7::integer[],
    $8::text[], $9::integer[], $10::integer[], $11::text[], $12::timestamptz[])
    AS n(id, account_id, digest, outcome, price_nano, cost_nano, price_book_version,
         plan_id, plan_version, markup_bps, model, admitted_at)"""
_DETAIL_COLUMNS = (
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
_DETAIL_TABLE = (*_DETAIL_COLUMNS, "counts", "iterations", "allocation", "first_seq", "last_seq")


class StandingCharge(NamedTuple):
    """What is booked under an id."""

    digest: bytes
    outcome: str
    cost_nano: int


async def insert_charges(session: AsyncSession, calls: Sequence[RatedCall], *, now: datetime) -> set[Key]:
    """Claim calls by their charge rows; the keys that were new. `calls` come sorted by id (no deadlocks)."""
    async with driver(session) as connection:
        rows = await connection.fetch(
            f"""
            INSERT INTO charge (id, account_id, digest, outcome, price_nano, cost_nano, unit, price_book_version,
                plan_id, plan_version, markup_bps, model, admitted_at, booked_at)
            SELECT id, account_id, digest, outcome, price_nano, cost_nano, 'credit', price_book_version,
                plan_id, plan_version, markup_bps, model, admitted_at, $13 FROM {_UNNESTED}
            ON CONFLICT DO NOTHING RETURNING account_id, id
            """,  # noqa: S608  # our own column names
            *_columns(calls),
            now,
        )
    return {(row[0], row[1]) for row in rows}


async def list_charges(session: AsyncSession, keys: Collection[Key]) -> dict[Key, StandingCharge]:
    """What stands under these keys; ask under the accounts' locks."""
    if not keys:
        return {}
    async with driver(session) as connection:
        rows = await connection.fetch(
            """
            SELECT account_id, id, digest, outcome, cost_nano FROM charge
            JOIN unnest($1::uuid[], $2::uuid[]) AS n(account_id, id) USING (account_id, id)
            """,
            [account_id for account_id, _ in keys],
            [call_id for _, call_id in keys],
        )
    return {(row[0], row[1]): StandingCharge(row[2], row[3], row[4]) for row in rows}


async def replace_charges(session: AsyncSession, calls: Sequence[RatedCall], *, now: datetime) -> None:
    """Put the real end in the place of an orphaned one (money.md 14)."""
    async with driver(session) as connection:
        await connection.execute(
            f"""
            UPDATE charge AS c SET digest = n.digest, outcome = n.outcome, price_nano = n.price_nano,
                cost_nano = n.cost_nano, price_book_version = n.price_book_version, plan_id = n.plan_id,
                plan_version = n.plan_version, markup_bps = n.markup_bps, model = n.model,
                admitted_at = n.admitted_at, booked_at = $13
            FROM {_UNNESTED} WHERE c.account_id = n.account_id AND c.id = n.id AND c.outcome = 'orphaned'
            """,  # noqa: S608  # our own column names
            *_columns(calls),
            now,
        )
        await connection.execute(
            """
            DELETE FROM usage_detail AS d USING unnest($1::uuid[], $2::uuid[]) AS n(account_id, id)
            WHERE d.account_id = n.account_id AND d.id = n.id
            """,
            [call.event.account_id for call in calls],
            [call.event.id for call in calls],
        )


async def insert_details(session: AsyncSession, calls: Mapping[Key, tuple[RatedCall, tuple[int, int]]]) -> None:
    """What the list of calls shows, with the range of each call's transfers."""
    if not calls:
        return
    records = [_detail(call, seqs) for call, seqs in calls.values()]
    async with driver(session) as connection:
        await connection.copy_records_to_table("usage_detail", columns=_DETAIL_TABLE, records=records)


def _columns(calls: Sequence[RatedCall]) -> tuple[list[Any], ...]:
    events = [call.event for call in calls]
    return (
        [event.id for event in events],
        [event.account_id for event in events],
        [call.digest for call in calls],
        [event.outcome for event in events],
        [call.price_nano for call in calls],
        [call.cost_nano for call in calls],
        [call.book_version for call in calls],
        [event.plan_id for event in events],
        [event.plan_version for event in events],
        [event.markup_bps for event in events],
        [call.model for call in calls],
        [event.admitted_at for event in events],
    )


def _detail(call: RatedCall, seqs: tuple[int, int]) -> tuple[Any, ...]:
    event = call.event
    values = event.__dict__
    counts = event.counts.__dict__
    iterations = [inner.model_dump(mode="json") for inner in event.iterations]
    allocation = [part.model_dump(mode="json") for part in event.allocation]
    return (
        *(values[name] for name in _DETAIL_COLUMNS),
        [counts[name] for name in COUNTS],
        orjson.dumps(iterations).decode() if iterations else None,
        orjson.dumps(allocation).decode() if allocation else None,
        *seqs,
    )

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.gateway import Counts
from ledger.domain.pricing import CallKey, RatedCall, call_key
from ledger.domain.usage_days import DayKey, Days, DaySums, add
from ledger.repository.binary import copy_rows, stage_rows
from ledger.repository.driver import driver
from ledger.repository.packed_calls import PACKED_CHARGE, PACKED_DETAIL, packed_charges, packed_detail

# A batch comes in by COPY into a table of the connection's own: twelve arrays as parameters cost the driver more than
# all the rest of the statement.
_STAGED: Final = """
id uuid, account_id uuid, digest bytea, outcome text, price_nano bigint, cost_nano bigint, unit text,
price_book_version integer, plan_id text, plan_version integer, markup_bps integer, model text,
admitted_at timestamptz, booked_at timestamptz
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
_REPLACE: Final = f"SELECT replace_orphans({', '.join(f'${n}' for n in range(1, 14))})"
_TOKENS: Final = ", ".join(f"d.{name}" for name in DaySums._fields if name in Counts.model_fields)


# Only what was not new is named: most batches hold nothing that came before.
_CLAIM: Final = f"""
WITH claimed AS (
    INSERT INTO charge ({_CHARGE}) SELECT {_CHARGE} FROM arriving_charge ORDER BY id
    ON CONFLICT DO NOTHING RETURNING account_id, id
)
SELECT account_id, id FROM arriving_charge EXCEPT ALL SELECT account_id, id FROM claimed
"""  # noqa: S608  # our own column names


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
        rows = packed_charges(calls, now=now)
        await stage_rows(connection, "arriving_charge", definition=_STAGED, columns=PACKED_CHARGE, rows=rows)
        known = await connection.fetch(_CLAIM)
    return {call.key for call in calls} - {call_key(row[0], row[1]) for row in known}


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
    async with driver(session) as connection:
        await connection.execute(_REPLACE, *_replacements(list(calls.values())), now)
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


def _replacements(calls: Sequence[RatedCall]) -> Iterator[list[Any]]:
    """The columns of `replace_orphans`."""
    yield from _ids(calls)
    yield [call.digest for call in calls]
    yield [call.outcome for call in calls]
    yield [call.price_nano for call in calls]
    yield [call.cost_nano for call in calls]
    yield [call.book_version for call in calls]
    yield [call.event.plan_id for call in calls]
    yield [call.event.plan_version for call in calls]
    yield [call.event.markup_bps for call in calls]
    yield [call.model for call in calls]
    yield [call.event.admitted_at for call in calls]


async def insert_details(session: AsyncSession, calls: Mapping[CallKey, tuple[RatedCall, tuple[int, int]]]) -> None:
    """What the list of calls shows, with the range of each call's transfers."""
    if not calls:
        return
    rows = [packed_detail(call, seqs) for call, seqs in calls.values()]
    async with driver(session) as connection:
        await copy_rows(connection, "usage_detail", columns=PACKED_DETAIL, rows=rows)


def _ids(calls: Sequence[RatedCall]) -> tuple[list[UUID], list[UUID]]:
    return [call.event.account_id for call in calls], [call.event.id for call in calls]

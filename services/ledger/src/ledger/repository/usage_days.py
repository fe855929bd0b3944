from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from ledger.domain.usage_days import DayKey, DaySums, Sums
from ledger.repository.binary import stage_rows
from ledger.repository.driver import driver
from ledger.repository.packed_days import PACKED_DAY, packed_days

_COLUMNS: Final = (*DayKey._fields, *DaySums._fields)
_NAMES: Final = ", ".join(_COLUMNS)
_KEY: Final = ", ".join(DayKey._fields)
# In order of key, so that two writers of the same days never wait for each other in a ring.
_SUMS: Final = ", ".join(f"{name} = usage_day.{name} + excluded.{name}" for name in DaySums._fields)
_ADD: Final = f"""
INSERT INTO usage_day ({_NAMES}) SELECT {_NAMES} FROM arriving_day ORDER BY {_KEY}
ON CONFLICT ({_KEY}) DO UPDATE SET {_SUMS}
"""  # noqa: S608  # our own column names

_NIL: Final = "'00000000-0000-0000-0000-000000000000'::uuid"
_MONEY: Final = ("price_nano", "cost_nano", "recognised_nano")
_COUNTS: Final = [name for name in DaySums._fields if name not in _MONEY]
_ADDED: Final = ", ".join(f"{name} = usage_day.{name} + excluded.{name}" for name in _MONEY)
_CORRECT: Final = f"""
INSERT INTO usage_day ({_KEY}, {", ".join(_MONEY)}, {", ".join(_COUNTS)})
SELECT n.account_id, n.day, n.plan_id, n.model, coalesce(d.project_id, {_NIL}), coalesce(d.api_key_id, {_NIL}),
    coalesce(d.user_id, {_NIL}), sum(n.price_nano), sum(n.cost_nano), sum(n.recognised_nano){", 0" * len(_COUNTS)}
FROM unnest($1::uuid[], $2::uuid[], $3::date[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[])
    AS n(account_id, id, day, plan_id, model, price_nano, cost_nano, recognised_nano)
LEFT JOIN usage_detail AS d USING (account_id, id) GROUP BY 1, 2, 3, 4, 5, 6, 7
ON CONFLICT ({_KEY}) DO UPDATE SET {_ADDED}
"""  # noqa: S608  # our own column names


async def add_usage_days(session: AsyncSession, days: Sums) -> None:
    """Add to what stands; one statement, one row per key."""
    if not days:
        return
    async with driver(session) as connection:
        rows = packed_days(days)
        await stage_rows(connection, "arriving_day", definition="LIKE usage_day", columns=PACKED_DAY, rows=rows)
        await connection.execute(_ADD)


class DayCorrection(NamedTuple):
    """What a correction changes of the day of its call; columns in the order of the statement's parameters."""

    account_id: UUID
    call_id: UUID
    day: date
    plan_id: str
    model: str
    price_nano: int
    cost_nano: int
    recognised_nano: int


async def correct_days(session: AsyncSession, corrections: Sequence[DayCorrection]) -> None:
    """Add what corrections changed to the days of their calls, under the accounts' locks.

    A call whose detail is archived has no project, key and user any more: its day has a row for those.
    """
    if not corrections:
        return
    async with driver(session) as connection:
        await connection.execute(_CORRECT, *(list(column) for column in zip(*corrections, strict=True)))


def day_of(instant: datetime) -> date:
    return instant.astimezone(UTC).date()

"""Sums of usage: by day from `usage_day`, by hour from the calls themselves."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from ledger.domain.usage import CLASSES, COLUMNS, NOBODY, DaySpend, Granularity, UsageQuery

SUMMED: Final = ("calls", "failed", *CLASSES, "price_nano", "plan_tokens", "cost_nano")
_SUMS: Final = ", ".join(f"sum({name})::bigint AS {name}" for name in SUMMED)
_BUCKETS: Final[dict[Granularity, str]] = {
    "hour": "date_trunc('hour', admitted_at, 'UTC')",
    "day": "day::timestamp AT TIME ZONE 'UTC'",
    "month": "date_trunc('month', day::timestamp) AT TIME ZONE 'UTC'",
    "total": "CAST(:starts_at AS timestamptz)",
}
_DAYS: Final = """
SELECT {bucket} AS bucket, {names}{sums} FROM usage_day
WHERE account_id = :account_id AND day >= :first AND day < :last{conditions}
GROUP BY bucket{group}
"""
# Admission and id are a minute apart at most; a day more costs nothing and keeps the partitions that matter.
_CALLS: Final = """
SELECT {bucket} AS bucket, {names}{sums} FROM (
    SELECT d.admitted_at, c.model, coalesce(d.project_id, :nobody) AS project_id,
        coalesce(d.api_key_id, :nobody) AS api_key_id, coalesce(d.user_id, :nobody) AS user_id, 1 AS calls,
        CASE WHEN d.outcome IN ('completed', 'client_gone') THEN 0 ELSE 1 END AS failed,
        {classes}, c.price_nano, c.plan_tokens, c.cost_nano
    FROM usage_detail AS d JOIN charge AS c ON c.account_id = d.account_id AND c.id = d.id
    WHERE d.account_id = :account_id AND d.admitted_at >= :starts_at AND d.admitted_at < :ends_at
        AND d.id >= uuid7_floor(CAST(:starts_at AS timestamptz) - interval '1 day')
        AND d.id < uuid7_floor(CAST(:ends_at AS timestamptz) + interval '1 day')
) AS calls WHERE true{conditions}
GROUP BY bucket{group}
"""
_PAGE: Final = "SELECT * FROM ({inner}) AS sums{after} ORDER BY {order} LIMIT :limit"


async def list_usage(
    session: AsyncSession, wanted: UsageQuery, *, after: Sequence[str] | None, limit: int
) -> Sequence[Any]:
    """One row per bucket and group, in their order, behind the position `after`."""
    statement, values = usage_statement(wanted, after=after)
    return (await session.execute(text(statement), {**values, "limit": limit})).all()


def usage_statement(wanted: UsageQuery, *, after: Sequence[str] | None) -> tuple[str, dict[str, Any]]:
    columns = [COLUMNS[group] for group in wanted.groups]
    filters = {
        "user_id": wanted.user_id,
        "model": wanted.model,
        "project_id": wanted.project_id,
        "api_key_id": wanted.api_key_id,
    }
    given = {name: value for name, value in filters.items() if value is not None}
    keys = ["bucket", *(f"{column}::text" for column in columns)]
    by_hour = wanted.granularity == "hour"
    inner = (_CALLS if by_hour else _DAYS).format(
        bucket=_BUCKETS[wanted.granularity],
        names="".join(f"{column}, " for column in columns),
        sums=_SUMS,
        conditions="".join(f" AND {name} = :{name}" for name in given),
        group="".join(f", {column}" for column in columns),
        classes=", ".join(f"d.{name}" for name in CLASSES),
    )
    values: dict[str, Any] = {"account_id": wanted.account_id, **given}
    if by_hour:
        values |= {"starts_at": wanted.starts_at, "ends_at": wanted.ends_at, "nobody": NOBODY}
    else:
        values |= {"first": wanted.starts_at.date(), "last": wanted.ends_at.date()}
        values |= {"starts_at": wanted.starts_at} if wanted.granularity == "total" else {}
    behind = ""
    if after is not None:
        names = [f":after{number}" for number in range(len(after))]
        behind = f" WHERE ({', '.join(keys)}) > (CAST({names[0]} AS timestamptz){''.join(f', {n}' for n in names[1:])})"
        values |= {name[1:]: part for name, part in zip(names, after, strict=True)}
    return _PAGE.format(inner=inner, after=behind, order=", ".join(keys)), values


async def list_days(session: AsyncSession, account_id: UUID, *, first: date, last: date) -> list[DaySpend]:
    """Each day of `[first, last)` on which something was used."""
    query = """
        SELECT day, sum(value_nano)::bigint AS value_nano, sum(price_nano)::bigint AS price_nano,
            sum(plan_tokens)::bigint AS plan_tokens, sum(overage_nano)::bigint AS overage_nano
        FROM usage_day WHERE account_id = :account_id AND day >= :first AND day < :last GROUP BY day ORDER BY day
    """
    rows = await session.execute(text(query), {"account_id": account_id, "first": first, "last": last})
    return [DaySpend(*row) for row in rows]


async def list_mix(session: AsyncSession, *, today: date, days: int) -> Sequence[Any]:
    """Per model, the tokens of each class that all accounts used over the last whole days."""
    sums = ", ".join(f"sum({name})::bigint AS {name}" for name in CLASSES)
    query = f"""
        SELECT model, sum(calls)::bigint AS calls, {sums} FROM usage_day
        WHERE day >= :first AND day < :today GROUP BY model ORDER BY model
    """  # noqa: S608  # our own column names
    return (await session.execute(text(query), {"first": today - timedelta(days=days), "today": today})).all()

"""Margins and what is owed, for operators."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

Scope = Literal["account", "model", "plan"]

_SUBJECTS: Final[dict[Scope, str]] = {"account": "account_id::text", "model": "model", "plan": "plan_id"}
_MARGINS: Final = """
SELECT {subject} AS subject, sum(calls)::bigint AS calls, sum(price_nano)::bigint AS price_nano,
    sum(value_nano)::bigint AS value_nano, sum(recognised_nano)::bigint AS recognised_nano,
    sum(cost_nano)::bigint AS cost_nano
FROM usage_day WHERE day >= :first AND day < :last{conditions}
GROUP BY 1{after} ORDER BY 1 LIMIT :limit
"""


async def list_margins(
    session: AsyncSession,
    scope: Scope,
    *,
    first: date,
    last: date,
    account_id: UUID | None = None,
    after: str | None = None,
    limit: int,
) -> Sequence[Any]:
    """Revenue and cost per subject of the days `[first, last)`, in the order of their names."""
    subject = _SUBJECTS[scope]
    query = _MARGINS.format(
        subject=subject,
        conditions=" AND account_id = :account_id" if account_id else "",
        after=f" HAVING {subject} > :after" if after is not None else "",
    )
    values: dict[str, Any] = {"first": first, "last": last, "limit": limit}
    values |= {"account_id": account_id} if account_id else {}
    values |= {"after": after} if after is not None else {}
    return (await session.execute(text(query), values)).all()


async def sum_recognised(session: AsyncSession, *, first: date, last: date, account_id: UUID | None = None) -> int:
    query = "SELECT coalesce(sum(recognised_nano), 0)::bigint FROM usage_day WHERE day >= :first AND day < :last"
    values: dict[str, Any] = {"first": first, "last": last}
    if account_id:
        query, values = f"{query} AND account_id = :account_id", {**values, "account_id": account_id}
    return int(await session.scalar(text(query), values) or 0)


async def sum_fees(
    session: AsyncSession, *, starts_at: datetime, ends_at: datetime, account_ids: Sequence[UUID] | None = None
) -> dict[UUID, int]:
    """Payment fees in minor units, of the accounts that settled payments in the window."""
    query = """
        SELECT account_id, sum(fee_minor)::bigint AS fee_minor FROM payment
        WHERE settled_at >= :starts_at AND settled_at < :ends_at
            AND (CAST(:account_ids AS uuid[]) IS NULL OR account_id = ANY(:account_ids))
        GROUP BY account_id
    """
    values = {"starts_at": starts_at, "ends_at": ends_at, "account_ids": account_ids}
    return {row.account_id: row.fee_minor for row in await session.execute(text(query), values)}


async def sum_liabilities(session: AsyncSession, *, starts_at: datetime, ends_at: datetime) -> Any:
    """What is owed to us and by us now, and what expired in the window; breakage is by unit."""
    totals = await session.execute(
        text(
            """
            SELECT count(*) FILTER (WHERE debt_nano > 0) AS indebted, coalesce(sum(debt_nano), 0)::bigint AS debt_nano
            FROM account
            """
        )
    )
    return totals.one(), await _sum_breakage(session, starts_at=starts_at, ends_at=ends_at)


async def _sum_breakage(session: AsyncSession, *, starts_at: datetime, ends_at: datetime) -> dict[str, int]:
    query = """
        SELECT unit, sum(CASE kind WHEN 'expiry' THEN amount ELSE -amount END)::bigint AS amount FROM transfer
        WHERE kind IN ('expiry', 'expiry_reversal') AND booked_at >= :starts_at AND booked_at < :ends_at
        GROUP BY unit
    """
    rows = await session.execute(text(query), {"starts_at": starts_at, "ends_at": ends_at})
    return {row.unit: row.amount for row in rows}


async def sum_granted(session: AsyncSession, *, at: datetime) -> dict[tuple[str, bool], int]:
    """Per unit and whether it was paid for, what accounts may still use."""
    query = """
        SELECT unit, coalesce(paid_minor, 0) > 0 AS is_paid, sum(remaining)::bigint AS amount FROM "grant"
        WHERE remaining > 0 AND (expires_at IS NULL OR expires_at > :at) GROUP BY 1, 2
    """
    return {(row.unit, row.is_paid): row.amount for row in await session.execute(text(query), {"at": at})}


async def list_indebted(session: AsyncSession, *, after: UUID | None, limit: int) -> Sequence[Any]:
    """Accounts that owe something, in the order of their ids."""
    query = """
        SELECT id, debt_nano, state, plan_id FROM account
        WHERE debt_nano > 0 AND (CAST(:after AS uuid) IS NULL OR id > :after) ORDER BY id LIMIT :limit
    """
    return (await session.execute(text(query), {"after": after, "limit": limit})).all()


async def claim_day(session: AsyncSession, day: date, *, now: datetime) -> bool:
    """False when the day's margins were compared before."""
    query = "INSERT INTO margin_watch (day, checked_at) VALUES (:day, :now) ON CONFLICT DO NOTHING RETURNING day"
    return (await session.execute(text(query), {"day": day, "now": now})).first() is not None


async def sum_unbilled(session: AsyncSession) -> int:
    """Overage that accrued and has not been told to billing."""
    query = "SELECT coalesce(sum(amount_nano), 0)::bigint FROM overage_accrual WHERE announced_at IS NULL"
    return int(await session.scalar(text(query)) or 0)

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from ledger import tables
from ledger.domain.overage import Accrual, AccrualKey

# The row of an hour that is not announced yet takes what accrues; behind an announced one comes the next.
_ACCRUE: Final = text(
    """
    WITH newest AS (
        SELECT coalesce(max(sequence), 0) AS sequence, bool_and(announced_at IS NOT NULL) AS is_announced
        FROM overage_accrual
        WHERE account_id = :account_id AND plan_id = :plan_id AND plan_version = :plan_version AND hour = :hour
    )
    INSERT INTO overage_accrual (account_id, plan_id, plan_version, hour, sequence, collect, nano_per_1k_tokens,
        amount_nano, is_late)
    SELECT CAST(:account_id AS uuid), CAST(:plan_id AS text), CAST(:plan_version AS integer),
        CAST(:hour AS timestamptz),
        CASE WHEN is_announced OR sequence = 0 THEN sequence + 1 ELSE sequence END, CAST(:collect AS text),
        CAST(:nano_per_1k_tokens AS bigint), CAST(:amount_nano AS bigint),
        CAST(:is_late AS boolean) OR (is_announced AND sequence > 0)
    FROM newest
    ON CONFLICT (account_id, plan_id, plan_version, hour, sequence)
    DO UPDATE SET amount_nano = overage_accrual.amount_nano + excluded.amount_nano
    """
)


async def accrue(session: AsyncSession, account_id: UUID, accruals: dict[AccrualKey, Accrual]) -> None:
    """Add to the open rows of an account's hours; under its lock."""
    for key, accrual in accruals.items():
        await session.execute(
            _ACCRUE,
            {
                "account_id": account_id,
                "plan_id": key.plan_id,
                "plan_version": key.plan_version,
                "hour": key.hour,
                "collect": accrual.collect,
                "nano_per_1k_tokens": accrual.nano_per_1k_tokens,
                "amount_nano": accrual.amount_nano,
                "is_late": key.is_late,
            },
        )


async def list_owing(session: AsyncSession, *, before: datetime, limit: int) -> list[UUID]:
    """Accounts with an hour of overage that was over by then and is not announced."""
    columns = tables.overage_accrual.c
    rows = await session.execute(
        select(columns.account_id)
        .where(columns.announced_at.is_(None), columns.hour < before)
        .group_by(columns.account_id)
        .limit(limit)
    )
    return [row.account_id for row in rows]


async def announce_hours(
    session: AsyncSession, account_ids: Collection[UUID], *, before: datetime, now: datetime
) -> list[Any]:
    """The rows that were open till now; under the accounts' locks."""
    rows = await session.execute(
        text(
            """
            UPDATE overage_accrual SET announced_at = :now
            WHERE account_id = ANY(:account_ids) AND announced_at IS NULL AND hour < :before RETURNING *
            """
        ),
        {"now": now, "before": before, "account_ids": list(account_ids)},
    )
    return sorted(rows.all(), key=lambda row: (row.account_id, row.hour, row.plan_id, row.plan_version, row.sequence))

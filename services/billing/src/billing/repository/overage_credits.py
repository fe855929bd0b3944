"""Overage that is given back, and overage that nothing bills."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.tables import SubscriptionRow
from billing.tables.overage import MeteredItemRow, OverageCarryRow, OverageCreditRow, OverageFactRow, OverageRow

_ENDED = ("canceled", "incomplete_expired")


async def list_reduced(session: AsyncSession, *, at_most_nano: int, heard_before: datetime, limit: int) -> list[UUID]:
    """Accounts whose carry is so far below nothing, and of which nothing was heard since that could offset it."""
    is_fresh = exists().where(
        OverageFactRow.account_id == OverageCarryRow.account_id, OverageFactRow.heard_at > heard_before
    )
    found = await session.scalars(
        select(OverageCarryRow.account_id)
        .where(OverageCarryRow.carry_nano <= at_most_nano, OverageCarryRow.carry_nano < 0, ~is_fresh, _is_billed())
        .order_by(OverageCarryRow.account_id)
        .limit(limit)
    )
    return list(found)


def _is_billed() -> Any:
    """Whether the account has a subscription that will have another invoice."""
    return exists().where(
        SubscriptionRow.account_id == OverageCarryRow.account_id,
        MeteredItemRow.subscription_id == SubscriptionRow.id,
        SubscriptionRow.status.not_in(_ENDED),
    )


async def insert_credit(session: AsyncSession, **values: Any) -> None:
    await session.execute(insert(OverageCreditRow).values(tries=0, **values))


async def list_due(session: AsyncSession, now: datetime, *, limit: int) -> Sequence[OverageCreditRow]:
    rows = await session.scalars(
        select(OverageCreditRow)
        .where(OverageCreditRow.item_id.is_(None), OverageCreditRow.due_at <= now)
        .order_by(OverageCreditRow.due_at, OverageCreditRow.id)
        .limit(limit)
    )
    return rows.all()


async def count_try(session: AsyncSession, credit_id: UUID, *, now: datetime, due_at: datetime) -> bool:
    """False when another process has just begun one, or it is given."""
    found = await session.scalar(
        update(OverageCreditRow)
        .where(OverageCreditRow.id == credit_id, OverageCreditRow.item_id.is_(None), OverageCreditRow.due_at <= now)
        .values(tries=OverageCreditRow.tries + 1, due_at=due_at)
        .returning(OverageCreditRow.id)
    )
    return found is not None


async def save_given(session: AsyncSession, credit_id: UUID, item_id: str) -> None:
    await session.execute(update(OverageCreditRow).where(OverageCreditRow.id == credit_id).values(item_id=item_id))


async def sum_credits(session: AsyncSession, account_id: UUID) -> int:
    """Minor units that were taken out of the account's carry to be given back."""
    whole = await session.scalar(
        select(func.coalesce(func.sum(OverageCreditRow.amount_minor), 0)).where(
            OverageCreditRow.account_id == account_id
        )
    )
    return int(whole or 0)


async def list_stranded(session: AsyncSession, *, reason: str, before: datetime) -> list[tuple[UUID, int, datetime]]:
    """Accounts with use of before then that waits for a subscription: how many units, and since which hour."""
    rows = await session.execute(
        select(OverageRow.account_id, func.sum(OverageRow.units), func.min(OverageRow.hour))
        .where(OverageRow.state.in_(("pending", "sent")), OverageRow.reason == reason, OverageRow.hour <= before)
        .group_by(OverageRow.account_id)
        .order_by(OverageRow.account_id)
    )
    return [(row[0], int(row[1]), row[2]) for row in rows]


async def mark_told(session: AsyncSession, account_id: UUID, *, reason: str, before: datetime, now: datetime) -> int:
    """How many of these rows nobody had been told of."""
    done = await session.scalars(
        update(OverageRow)
        .where(
            OverageRow.account_id == account_id,
            OverageRow.state.in_(("pending", "sent")),
            OverageRow.reason == reason,
            OverageRow.hour <= before,
            OverageRow.told_at.is_(None),
        )
        .values(told_at=now)
        .returning(OverageRow.sequence)
    )
    return len(done.all())

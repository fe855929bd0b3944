"""What was last known of subscriptions, and which of them are due for a reminder."""

from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from notifier.domain.subscribing import DueReminder, KnownSubscription
from notifier.tables import SubscriptionRow


async def find_subscription(session: AsyncSession, subscription_id: str) -> KnownSubscription | None:
    row = await session.get(SubscriptionRow, subscription_id, with_for_update=True)
    if row is None:
        return None
    return KnownSubscription(
        version=row.version,
        plan_id=row.plan_id,
        status=row.status,
        cancel_at_period_end=row.cancel_at_period_end,
        pending_plan_id=row.pending_plan_id,
        ends_at=row.ends_at,
        remind_at=row.remind_at,
    )


async def upsert_subscription(
    session: AsyncSession, subscription_id: str, known: KnownSubscription, *, account_id: UUID
) -> None:
    values = {**asdict(known), "account_id": account_id}
    await session.execute(
        insert(SubscriptionRow)
        .values(subscription_id=subscription_id, **values)
        .on_conflict_do_update(index_elements=["subscription_id"], set_=values)
    )


async def take_due_reminders(session: AsyncSession, *, now: datetime, limit: int) -> list[DueReminder]:
    """Each is given once, unless this transaction comes to nothing."""
    due = (
        select(SubscriptionRow.subscription_id)
        .where(SubscriptionRow.remind_at <= now)
        .order_by(SubscriptionRow.remind_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    rows = await session.execute(
        update(SubscriptionRow)
        .where(SubscriptionRow.subscription_id == due.c.subscription_id)
        .values(remind_at=None)
        .returning(
            SubscriptionRow.subscription_id,
            SubscriptionRow.account_id,
            SubscriptionRow.plan_id,
            SubscriptionRow.status,
            SubscriptionRow.ends_at,
        ),
        execution_options={"synchronize_session": False},
    )
    return [DueReminder(**row) for row in rows.mappings()]

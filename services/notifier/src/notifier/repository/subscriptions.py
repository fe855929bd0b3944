"""What was last known of subscriptions."""

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.billing import SubscriptionChanged
from notifier.domain.delivering import KnownSubscription
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
    )


async def insert_subscription(session: AsyncSession, event: SubscriptionChanged) -> None:
    """Keep what the event says, in place of what was known."""
    values = {
        "version": event.version,
        "plan_id": event.plan_id,
        "status": event.status,
        "cancel_at_period_end": event.cancel_at_period_end,
    }
    await session.execute(
        insert(SubscriptionRow)
        .values(subscription_id=event.subscription_id, **values)
        .on_conflict_do_update(index_elements=["subscription_id"], set_=values)
    )

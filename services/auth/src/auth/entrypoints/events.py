"""What auth learns from other services."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from auth.service import people
from contracts.billing import SubscriptionChanged
from kit.consumer import Consumer

GROUP: Final = "auth"


def build_consumer(group: str = GROUP) -> Consumer:
    """Auth's consumer group."""
    consumer = Consumer(group)

    @consumer.on(SubscriptionChanged)
    async def on_subscription_changed(session: AsyncSession, event: SubscriptionChanged) -> None:
        await people.record_subscription(session, event)

    return consumer

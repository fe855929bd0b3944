"""Where notices become deliveries, in the transaction of the event."""

from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from kit.ids import uuid7
from notifier.domain.delivering import Notice
from notifier.domain.kinds import KINDS
from notifier.repository import deliveries


class NoticeQueue:
    """Queues each notice once, whatever comes how often."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock

    async def add(self, session: AsyncSession, notice: Notice) -> bool:
        """False when this fact was queued before, or is too old to be told."""
        now, kind = self._clock.now(), KINDS.get(notice.kind)
        stale_after_s = kind.stale_after_s if kind else None
        if stale_after_s is not None and (now - notice.occurred_at).total_seconds() > stale_after_s:
            return False
        return await deliveries.insert_delivery(session, notice, delivery_id=uuid7(self._clock), now=now)

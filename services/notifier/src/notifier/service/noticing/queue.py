"""Where notices become deliveries, in the transaction of the event."""

from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from kit.ids import uuid7
from notifier.domain.delivering import Notice
from notifier.domain.kinds import KINDS, Audience
from notifier.repository import deliveries, endpoints


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
        if not await deliveries.insert_delivery(session, notice, delivery_id=uuid7(self._clock), now=now):
            return False
        if notice.account_id is not None and notice.audience == Audience.ACCOUNT:
            await self._add_targets(session, notice, notice.account_id)
        return True

    async def _add_targets(self, session: AsyncSession, notice: Notice, account_id: UUID) -> None:
        """The same notice for each endpoint of the account that wants it."""
        for endpoint_id, channel in await endpoints.list_interested(session, account_id, kind=notice.kind):
            targeted = replace(
                notice, dedupe_key=f"{notice.dedupe_key}:{endpoint_id}", channel=channel, target_id=endpoint_id
            )
            await deliveries.insert_delivery(session, targeted, delivery_id=uuid7(self._clock), now=self._clock.now())

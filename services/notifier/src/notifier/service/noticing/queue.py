"""Where facts become notices, and notices deliveries, in the transaction of the event."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from kit import logging
from kit.clock import Clock
from kit.ids import uuid7
from notifier import metrics
from notifier.domain.delivering import Notice
from notifier.domain.kinds import KINDS, Audience
from notifier.repository import deliveries, endpoints

log = logging.get(__name__)


class NoticeQueue:
    """Queues each notice once per kind and key, whatever comes how often."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock

    async def tell_account(
        self, session: AsyncSession, account_id: UUID, *, kind: str, key: str, occurred_at: datetime, **facts: Any
    ) -> None:
        """A notice for an account: its people, its feed, its endpoints. `facts` are what the template says."""
        notice = Notice(
            dedupe_key=f"{kind}:{key}",
            kind=kind,
            audience=Audience.ACCOUNT,
            occurred_at=occurred_at,
            account_id=account_id,
            payload=facts,
        )
        if await self.add(session, notice):
            await self._add_targets(session, notice, account_id)

    async def alert_operators(
        self, session: AsyncSession, *, kind: str, key: str, occurred_at: datetime, said_by: str, **facts: Any
    ) -> None:
        """All alerts are logged and counted; a flood under one key is one mail."""
        metrics.OPERATOR_ALERTS.labels(said_by).inc()
        log.error("notifier.operators_alerted", kind=kind, **facts)
        notice = Notice(
            dedupe_key=f"{kind}:{key}",
            kind=kind,
            audience=Audience.OPERATORS,
            occurred_at=occurred_at,
            payload=facts,
        )
        await self.add(session, notice)

    async def add(self, session: AsyncSession, notice: Notice) -> bool:
        """False when this fact was queued before, or is too old to be told."""
        now, kind = self._clock.now(), KINDS.get(notice.kind)
        stale_after_s = kind.stale_after_s if kind else None
        if stale_after_s is not None and (now - notice.occurred_at).total_seconds() > stale_after_s:
            return False
        return await deliveries.insert_delivery(session, notice, delivery_id=uuid7(self._clock), now=now)

    async def _add_targets(self, session: AsyncSession, notice: Notice, account_id: UUID) -> None:
        """The same notice for each endpoint of the account that wants it."""
        for endpoint_id, channel in await endpoints.list_interested(session, account_id, kind=notice.kind):
            targeted = replace(
                notice, dedupe_key=f"{notice.dedupe_key}:{endpoint_id}", channel=channel, target_id=endpoint_id
            )
            await deliveries.insert_delivery(session, targeted, delivery_id=uuid7(self._clock), now=self._clock.now())

"""Deliveries: claimed for an attempt, settled after it, listed."""

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.notifier import DeliveryFailed
from kit import logging, outbox
from kit.clock import Clock
from kit.ids import fact_id
from notifier import metrics, repository
from notifier.domain import TITLES, Claimed, Delivery, Outcome, Patience, State
from notifier.repository import Position

log = logging.get(__name__)

CHANNEL: Final = "mail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """The queue of mails. A claim lasts `lease_s`; who is slower than that has lost it."""

    clock: Clock
    patience: Patience
    lease_s: float

    async def claim(self, session: AsyncSession, *, limit: int) -> list[Claimed]:
        """Take due deliveries for one attempt each."""
        now = self.clock.now()
        leased_until = now + timedelta(seconds=self.lease_s)
        return await repository.lock_due_deliveries(session, now=now, leased_until=leased_until, limit=limit)

    async def settle(self, session: AsyncSession, claimed: Claimed, outcome: Outcome) -> None:
        """Write down how an attempt ended; a failure for good is published."""
        now = self.clock.now()
        delay_s = self.patience.delay_s(claimed.attempts, jitter=random.random())  # noqa: S311  # spreads retries
        next_attempt_at = now + timedelta(seconds=delay_s)
        if outcome.state == State.PENDING and self.patience.ends(claimed.created_at, next_attempt_at=next_attempt_at):
            outcome = Outcome(
                state=State.FAILED,
                reason=f"given up after {claimed.attempts} attempts: {outcome.reason}",
                mailed_to=outcome.mailed_to,
            )
        if not await repository.update_delivery(session, claimed, outcome, now=now, next_attempt_at=next_attempt_at):
            log.warning("notifier.lease_lost", delivery_id=str(claimed.id), attempt=claimed.attempts)
            return
        self._report(claimed, outcome)
        if outcome.state == State.FAILED:
            await outbox.add(session, self._failed(claimed, reason=outcome.reason or "unknown"))

    async def measure_backlog(self, session: AsyncSession) -> None:
        count, since = await repository.count_pending(session)
        metrics.PENDING.set(count)
        metrics.PENDING_AGE.set((self.clock.now() - since).total_seconds() if since else 0.0)

    def _report(self, claimed: Claimed, outcome: Outcome) -> None:
        kind = claimed.kind if claimed.kind in TITLES else "other"
        metrics.DELIVERIES.labels(kind, outcome.state.value).inc()
        if outcome.state == State.SENT:
            metrics.MAIL_SECONDS.observe((self.clock.now() - claimed.occurred_at).total_seconds())
        level = "warning" if outcome.reason else "info"
        getattr(log, level)(
            "notifier.delivery_attempted",
            delivery_id=str(claimed.id),
            kind=kind,
            attempt=claimed.attempts,
            state=outcome.state.value,
            reason=outcome.reason,
        )

    def _failed(self, claimed: Claimed, *, reason: str) -> DeliveryFailed:
        return DeliveryFailed(
            id=fact_id("notifier", claimed.id, "failed"),
            time=self.clock.now(),
            delivery_id=claimed.id,
            account_id=claimed.account_id,
            kind=claimed.kind,
            channel=CHANNEL,
            reason=reason,
        )


async def list_account_deliveries(
    session: AsyncSession, account_id: UUID, *, after: Position | None, limit: int
) -> list[Delivery]:
    """An account's deliveries, newest first."""
    return await repository.list_account_deliveries(session, account_id, after=after, limit=limit)


async def list_deliveries(
    session: AsyncSession, *, state: State | None, after: Position | None, limit: int
) -> list[Delivery]:
    """Everyone's deliveries with their reasons, newest first; for operators."""
    return await repository.list_deliveries(session, state=state, after=after, limit=limit)

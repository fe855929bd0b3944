"""Deliveries: claimed for an attempt, settled after it, listed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.notifier import DeliveryFailed
from kit import logging, outbox
from kit.clock import Clock
from kit.ids import fact_id, uuid7
from notifier import metrics
from notifier.domain.choosing import DIGEST, Later, hour_of
from notifier.domain.delivering import Claimed, Delivery, Notice, Outcome, Patient, State
from notifier.domain.kinds import KINDS, Audience
from notifier.repository import deliveries, feed, people
from notifier.repository.deliveries import Lane, Position
from notifier.service.suppression import BOUNCE_S
from notifier.service.targets import Targets

log = logging.get(__name__)

_FORGOTTEN: Final = 1_000
"""In one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """The queue of one lane: mails, or what goes to endpoints. Who is slower than `lease_s` has lost its claim."""

    clock: Clock
    patience: Patient
    lease_s: float
    lane: Lane = "mails"
    targets: Targets | None = None

    async def claim(self, session: AsyncSession, *, limit: int) -> list[Claimed]:
        """Take due deliveries for one attempt each; mails with what people chose for them."""
        now = self.clock.now()
        leased_until = now + timedelta(seconds=self.lease_s)
        claimed = await deliveries.lock_due_deliveries(
            session, lane=self.lane, now=now, leased_until=leased_until, limit=limit
        )
        return await _with_choices(session, claimed) if self.lane == "mails" else claimed

    async def settle(self, session: AsyncSession, claimed: Claimed, outcome: Outcome) -> None:
        """Write down how an attempt ended; a failure for good is published."""
        now = self.clock.now()
        delay_s = self.patience.delay_s(claimed.attempts, jitter=random.random())  # noqa: S311  # spreads retries
        next_attempt_at = now + timedelta(seconds=delay_s)
        ends = self.patience.ends(claimed.attempts, claimed.trying_since, next_attempt_at=next_attempt_at)
        if outcome.state == State.PENDING and ends:
            reason = f"given up after {claimed.attempts} attempts: {outcome.reason}"
            outcome = replace(outcome, state=State.FAILED, reason=reason)
        if not await deliveries.update_delivery(session, claimed, outcome, now=now, next_attempt_at=next_attempt_at):
            log.warning("notifier.lease_lost", delivery_id=str(claimed.id), attempt=claimed.attempts)
            return
        if self.targets is not None and claimed.target_id is not None:
            await self.targets.settle(session, claimed, outcome, next_attempt_at=next_attempt_at)
        else:
            await self._settle_people(session, claimed, outcome)
        self._report(claimed, outcome)
        if outcome.state == State.FAILED:
            await outbox.add(session, self._failed(claimed, reason=outcome.reason or "unknown"))

    async def _settle_people(self, session: AsyncSession, claimed: Claimed, outcome: Outcome) -> None:
        now = self.clock.now()
        await people.count_mails(session, outcome.newly_mailed, hour=hour_of(now))
        until = now + timedelta(seconds=BOUNCE_S)
        await people.upsert_suppressed(session, outcome.bounced, cause="bounce", now=now, until=until)
        for later in outcome.later:
            await self._queue_later(session, claimed, later)

    async def _queue_later(self, session: AsyncSession, claimed: Claimed, later: Later) -> None:
        """A row of its own for one person: the notice again after the night, or the digest that tells it."""
        now, place = self.clock.now(), f"{claimed.account_id}:{later.user_id}:{later.at.isoformat()}"
        notice = Notice(
            dedupe_key=f"digest:{place}" if later.is_digest else f"later:{claimed.id}:{later.user_id}",
            kind=DIGEST if later.is_digest else claimed.kind,
            audience=Audience.ACCOUNT,
            occurred_at=claimed.occurred_at,
            account_id=claimed.account_id,
            user_id=later.user_id,
            payload={} if later.is_digest else claimed.payload,
        )
        row_id = uuid7(self.clock)
        if not await deliveries.insert_delivery(session, notice, delivery_id=row_id, now=now, due_at=later.at):
            row_id = await deliveries.find_delivery_id(session, notice.dedupe_key) or row_id
        if later.is_digest:
            await deliveries.insert_digest_item(session, row_id, claimed.id)

    def _report(self, claimed: Claimed, outcome: Outcome) -> None:
        kind = claimed.kind if claimed.kind in KINDS else "other"
        metrics.DELIVERIES.labels(kind, outcome.state.value).inc()
        if outcome.state == State.SENT and claimed.target_id is None:
            metrics.MAIL_SECONDS.observe((self.clock.now() - claimed.occurred_at).total_seconds())
        level = "warning" if outcome.reason else "info"
        getattr(log, level)(
            "notifier.delivery_attempted",
            delivery_id=str(claimed.id),
            kind=kind,
            channel=claimed.channel,
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
            channel=claimed.channel,
            reason=reason,
        )


async def _with_choices(session: AsyncSession, claimed: Sequence[Claimed]) -> list[Claimed]:
    """Read for all that were claimed at once: another transaction for each mail would cost as much as its sending."""
    wanted = {(one.account_id, one.kind) for one in claimed if one.account_id is not None}
    chosen = await people.list_choices(session, wanted) if wanted else {}
    return [
        replace(one, choices=chosen.get((one.account_id, one.kind), {})) if one.account_id is not None else one
        for one in claimed
    ]


async def measure_backlog(session: AsyncSession, *, clock: Clock) -> None:
    """Keep the metrics of what waits up to date."""
    count, since = await deliveries.count_pending(session, now=clock.now())
    metrics.PENDING.set(count)
    metrics.PENDING_AGE.set((clock.now() - since).total_seconds() if since else 0.0)


async def forget_old(session: AsyncSession, *, before: datetime) -> int:
    """Delete what was settled, and what was marked as read, before an instant; how much there was, 0 when no more."""
    notices = await deliveries.delete_old(session, before=before, limit=_FORGOTTEN)
    marks = await feed.delete_old_reads(session, before=before, limit=_FORGOTTEN)
    if notices:
        log.info("notifier.deliveries_forgotten", count=notices)
    return notices + marks


async def list_deliveries(
    session: AsyncSession, *, state: State | None, after: Position | None, limit: int
) -> list[Delivery]:
    """Everyone's deliveries with their reasons, newest first; for operators."""
    return await deliveries.list_deliveries(session, state=state, after=after, limit=limit)

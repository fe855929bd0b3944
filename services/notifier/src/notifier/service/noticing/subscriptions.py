"""From changes of subscriptions, and from their ends that come near, to notices."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.billing import SubscriptionChanged
from kit.clock import Clock
from notifier.domain.subscribing import REMINDERS, DueReminder, KnownSubscription
from notifier.repository import subscriptions
from notifier.service.noticing.queue import NoticeQueue

BATCH: Final = 100


class SubscriptionNotices:
    """Tells what changed, and before a trial or the patience with a debtor is over once more."""

    def __init__(self, queue: NoticeQueue, *, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock

    async def queue_change(self, session: AsyncSession, event: SubscriptionChanged) -> None:
        """A notice when plan, status, the announced end or the plan to come changed; older versions change nothing."""
        known = await subscriptions.find_subscription(session, event.subscription_id)
        if known is not None and event.version <= known.version:
            return
        now_known = KnownSubscription.of(event, known)
        await subscriptions.upsert_subscription(session, event.subscription_id, now_known, account_id=event.account_id)
        if now_known.is_news_after(known):
            await self._tell_change(session, event, known)

    async def remind_due(self, session: AsyncSession) -> int:
        """Tell whose trial or grace ends soon, each once; how many were looked at."""
        due = await subscriptions.take_due_reminders(session, now=self._clock.now(), limit=BATCH)
        for one in due:
            if one.ends_at > self._clock.now():
                await self._remind(session, one)
        return len(due)

    async def _tell_change(
        self, session: AsyncSession, event: SubscriptionChanged, known: KnownSubscription | None
    ) -> None:
        await self._queue.tell_account(
            session,
            event.account_id,
            kind="subscription-changed",
            key=f"{event.subscription_id}:{event.version}",
            occurred_at=event.time,
            plan=event.plan_id,
            plan_before=known.plan_id if known else None,
            pending_plan=event.pending_plan_id,
            pending_before=known.pending_plan_id if known else None,
            status=event.status,
            cancel_at_period_end=event.cancel_at_period_end,
            period_end=event.current_period_end.isoformat(),
            trial_end=event.trial_end.isoformat() if event.trial_end else None,
            grace_until=event.grace_until.isoformat() if event.grace_until else None,
        )

    async def _remind(self, session: AsyncSession, due: DueReminder) -> None:
        kind, ends_at = REMINDERS[due.status].kind, due.ends_at.isoformat()
        await self._queue.tell_account(
            session,
            due.account_id,
            kind=kind,
            key=f"{due.subscription_id}:{ends_at}",
            occurred_at=self._clock.now(),
            plan=due.plan_id,
            ends_at=ends_at,
        )

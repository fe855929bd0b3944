"""What the notifier hears; each handler only queues, deliveries go out after the commit."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.auth import ApiKeyChanged, MessageRequested, UserChanged
from contracts.billing import OverageStranded, PaymentFailed, PaymentReversed, PaymentSettled, SubscriptionChanged
from contracts.event import Event
from contracts.gateway import CallsRefused, ProviderStateChanged
from contracts.ledger import MarginFell, PeriodClosed, ReconciliationDiffered, ThresholdCrossed
from contracts.operations import DLQ_GREW
from kit.consumer import Batch, Consumer
from notifier.service import preferences
from notifier.service.noticing.accounts import Notices
from notifier.service.noticing.operators import OperatorNotices
from notifier.service.noticing.subscriptions import SubscriptionNotices

E = TypeVar("E", bound=Event)

_WAKING: Final = "notifier_waking"


@dataclass(frozen=True, slots=True)
class Heard:
    """Who makes notices of what is heard."""

    notices: Notices
    subscriptions: SubscriptionNotices
    operators: OperatorNotices


def build_consumer(heard: Heard, *, group: str, wake: Callable[[], None]) -> Consumer:
    """The consumer; `wake` is called when a transaction that may have queued deliveries has ended."""
    consumer, notices, operators = Consumer(group), heard.notices, heard.operators

    def hear(event_type: type[E], queue: Callable[[AsyncSession, E], Awaitable[None]]) -> None:
        async def handler(session: AsyncSession, event: E) -> None:
            wake_after(session, wake)
            await queue(session, event)

        consumer.on(event_type)(handler)

    @consumer.on_batch(CallsRefused)
    async def on_calls_refused(session: AsyncSession, batch: Batch) -> None:
        # Two gateways state the same first refusal with other counts: the delivery's key dedupes, not the inbox.
        wake_after(session, wake)
        for received in batch.received:
            await notices.queue_refusal(session, received.event)

    hear(ThresholdCrossed, notices.queue_threshold)
    hear(PeriodClosed, notices.queue_period_summary)
    hear(MessageRequested, notices.queue_message)
    hear(ApiKeyChanged, notices.queue_new_key)
    hear(UserChanged, on_user_changed)
    hear(PaymentSettled, notices.queue_payment_received)
    hear(PaymentFailed, notices.queue_payment_failed)
    hear(PaymentReversed, notices.queue_payment_reversed)
    hear(SubscriptionChanged, heard.subscriptions.queue_change)
    hear(ReconciliationDiffered, operators.queue_gap)
    hear(MarginFell, operators.queue_thin_margin)
    hear(OverageStranded, operators.queue_stranded_use)
    hear(ProviderStateChanged, operators.queue_provider_state)
    for grew in DLQ_GREW.values():
        hear(grew, operators.queue_set_aside)
    return consumer


async def on_user_changed(session: AsyncSession, event: UserChanged) -> None:
    if event.state == "deleted":
        await preferences.forget(session, event.user_id)


def wake_after(session: AsyncSession, wake: Callable[[], None]) -> None:
    """Call `wake` once when the session's outermost transaction has ended; after a rollback it finds nothing."""
    if session.info.get(_WAKING):
        return
    session.info[_WAKING] = True

    def ended(_session: Any, transaction: Any) -> None:
        if transaction.parent is None:
            wake()

    sqlalchemy_event.listen(session.sync_session, "after_transaction_end", ended)

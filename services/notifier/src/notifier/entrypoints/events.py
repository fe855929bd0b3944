"""What the notifier hears; each handler only queues, mails go out after the commit."""

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.auth import MessageRequested
from contracts.billing import PaymentFailed, PaymentReversed, PaymentSettled, SubscriptionChanged
from contracts.gateway import CallsRefused
from contracts.ledger import ThresholdCrossed
from contracts.operations import DLQ_GREW, DlqGrew
from kit.consumer import Batch, Consumer
from notifier.service.notices import Notices

_WAKING: Final = "notifier_waking"


def build_consumer(notices: Notices, *, group: str, wake: Callable[[], None]) -> Consumer:
    """The consumer; `wake` is called when a transaction that may have queued deliveries has ended."""
    consumer = Consumer(group)

    @consumer.on(ThresholdCrossed)
    async def on_threshold_crossed(session: AsyncSession, event: ThresholdCrossed) -> None:
        wake_after(session, wake)
        await notices.queue_threshold(session, event)

    @consumer.on_batch(CallsRefused)
    async def on_calls_refused(session: AsyncSession, batch: Batch) -> None:
        # Two gateways state the same first refusal with other counts: the delivery's key dedupes, not the inbox.
        wake_after(session, wake)
        for received in batch.received:
            await notices.queue_refusal(session, received.event)

    @consumer.on(MessageRequested)
    async def on_message_requested(session: AsyncSession, event: MessageRequested) -> None:
        wake_after(session, wake)
        await notices.queue_message(session, event)

    _add_billing(consumer, notices, wake)
    _add_operations(consumer, notices, wake)
    return consumer


def _add_billing(consumer: Consumer, notices: Notices, wake: Callable[[], None]) -> None:
    @consumer.on(PaymentSettled)
    async def on_payment_settled(session: AsyncSession, event: PaymentSettled) -> None:
        wake_after(session, wake)
        await notices.queue_payment_received(session, event)

    @consumer.on(PaymentFailed)
    async def on_payment_failed(session: AsyncSession, event: PaymentFailed) -> None:
        wake_after(session, wake)
        await notices.queue_payment_failed(session, event)

    @consumer.on(PaymentReversed)
    async def on_payment_reversed(session: AsyncSession, event: PaymentReversed) -> None:
        wake_after(session, wake)
        await notices.queue_payment_reversed(session, event)

    @consumer.on(SubscriptionChanged)
    async def on_subscription_changed(session: AsyncSession, event: SubscriptionChanged) -> None:
        wake_after(session, wake)
        await notices.queue_subscription_change(session, event)


def _add_operations(consumer: Consumer, notices: Notices, wake: Callable[[], None]) -> None:
    async def on_dlq_grew(session: AsyncSession, event: DlqGrew) -> None:
        wake_after(session, wake)
        await notices.queue_operator_alert(session, event)

    for event_type in DLQ_GREW.values():
        consumer.on(event_type)(on_dlq_grew)


def wake_after(session: AsyncSession, wake: Callable[[], None]) -> None:
    """Call `wake` once when the session's outermost transaction has ended; after a rollback it finds nothing."""
    if session.info.get(_WAKING):
        return
    session.info[_WAKING] = True

    def ended(_session: Any, transaction: Any) -> None:
        if transaction.parent is None:
            wake()

    sqlalchemy_event.listen(session.sync_session, "after_transaction_end", ended)

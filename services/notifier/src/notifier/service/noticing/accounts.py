"""From events to deliveries: one row per fact worth a mail; nothing is sent here."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.auth import MessageRequested
from contracts.billing import PaymentFailed, PaymentReversed, PaymentSettled, SubscriptionChanged
from contracts.gateway import CallsRefused
from contracts.ledger import ThresholdCrossed
from contracts.operations import DlqGrew
from kit import logging
from kit.clock import Clock
from kit.ids import uuid7
from notifier import metrics, repository
from notifier.domain import THRESHOLD_KINDS, UNFINISHED, Audience, Notice

log = logging.get(__name__)


_AccountEvent = ThresholdCrossed | CallsRefused | PaymentSettled | PaymentFailed | PaymentReversed | SubscriptionChanged


class Notices:
    """Queues a delivery for each event that people should hear of, in the event's own transaction."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock

    async def queue_threshold(self, session: AsyncSession, event: ThresholdCrossed) -> None:
        kind = THRESHOLD_KINDS[event.level]
        await self._queue(
            session,
            _for_account(
                event,
                kind=kind,
                key=f"{event.account_id}:{event.unit}:{event.arming}",
                unit=event.unit,
                base=event.base,
                available=event.available,
            ),
        )

    async def queue_refusal(self, session: AsyncSession, event: CallsRefused) -> None:
        """Once per account, reason and arming, whichever gateway says it and however often."""
        key = f"{event.account_id}:{event.reason}:{event.arming}"
        await self._queue(
            session,
            _for_account(
                event,
                kind="calls-refused",
                key=key,
                reason=event.reason,
                model=event.model_asked,
                required_nano=event.required_nano,
                available_nano=event.available_nano,
            ),
        )

    async def queue_message(self, session: AsyncSession, event: MessageRequested) -> None:
        notice = Notice(
            dedupe_key=f"message:{event.message_id}",
            kind=event.kind,
            audience=Audience.MESSAGE,
            occurred_at=event.time,
            message_id=event.message_id,
        )
        await self._queue(session, notice)

    async def queue_payment_received(self, session: AsyncSession, event: PaymentSettled) -> None:
        await self._queue(
            session,
            _for_account(
                event,
                kind="payment-received",
                key=event.payment_id,
                payment_kind=event.kind,
                offer=event.offer_id,
                unit=event.grant_unit,
                granted=event.grant_amount,
                paid_minor=event.paid_minor,
                currency=event.currency,
                valid_days=event.valid_days,
                period_end=event.period_end.isoformat() if event.period_end else None,
            ),
        )

    async def queue_payment_failed(self, session: AsyncSession, event: PaymentFailed) -> None:
        # A subscription's payment may fail several times under one id; each try is news, so the event's id is the key.
        await self._queue(
            session,
            _for_account(
                event,
                kind="payment-failed",
                key=str(event.id),
                payment_kind=event.kind,
                offer=event.offer_id,
                amount_minor=event.amount_minor,
                currency=event.currency,
                reason=event.reason,
            ),
        )

    async def queue_payment_reversed(self, session: AsyncSession, event: PaymentReversed) -> None:
        await self._queue(
            session,
            _for_account(
                event,
                kind="payment-reversed",
                key=f"{event.reversal_id}:{event.kind}",
                reversal=event.kind,
                reversed_minor=event.reversed_minor,
                paid_minor=event.paid_minor,
                currency=event.currency,
            ),
        )

    async def queue_subscription_change(self, session: AsyncSession, event: SubscriptionChanged) -> None:
        """A delivery when plan, status or the announced end changed; older versions change nothing."""
        known = await repository.find_subscription(session, event.subscription_id)
        if known is not None and event.version <= known.version:
            return
        await repository.insert_subscription(session, event)
        worth_telling = event.status not in UNFINISHED if known is None else known.worth_telling(event)
        if worth_telling:
            await self._queue(
                session,
                _for_account(
                    event,
                    kind="subscription-changed",
                    key=f"{event.subscription_id}:{event.version}",
                    plan=event.plan_id,
                    plan_before=known.plan_id if known else None,
                    status=event.status,
                    cancel_at_period_end=event.cancel_at_period_end,
                    period_end=event.current_period_end.isoformat(),
                ),
            )

    async def queue_operator_alert(self, session: AsyncSession, event: DlqGrew) -> None:
        """Each record is logged and counted; one mail per service, topic and hour, so that a flood stays one mail."""
        service = event.type.partition(".")[0]
        metrics.OPERATOR_ALERTS.labels(service).inc()
        log.error(
            "notifier.dlq_grew",
            origin=service,
            topic=event.topic,
            partition=event.partition,
            offset=event.offset,
            reason=event.reason,
        )
        notice = Notice(
            dedupe_key=f"dlq-grew:{service}:{event.topic}:{event.time:%Y-%m-%dT%H}",
            kind="dlq-grew",
            audience=Audience.OPERATORS,
            occurred_at=event.time,
            payload={
                "origin": service,
                "topic": event.topic,
                "partition": event.partition,
                "offset": event.offset,
                "reason": event.reason,
            },
        )
        await self._queue(session, notice)

    async def _queue(self, session: AsyncSession, notice: Notice) -> None:
        await repository.insert_delivery(session, notice, delivery_id=uuid7(self._clock), now=self._clock.now())


def _for_account(event: _AccountEvent, *, kind: str, key: str, **payload: Any) -> Notice:
    return Notice(
        dedupe_key=f"{kind}:{key}",
        kind=kind,
        audience=Audience.ACCOUNT,
        occurred_at=event.time,
        account_id=event.account_id,
        payload=payload,
    )

"""From events to notices for customers: one per fact worth telling; nothing is sent here."""

from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.auth import ApiKeyChanged, MessageRequested
from contracts.billing import PaymentFailed, PaymentReversed, PaymentSettled
from contracts.gateway import CallsRefused
from contracts.ledger import PeriodClosed, ThresholdCrossed
from notifier.domain.delivering import Notice
from notifier.domain.kinds import Audience, threshold_kind
from notifier.service.noticing.queue import NoticeQueue

OUR_FAULT: Final = frozenset({"unavailable", "too_many_unconfirmed", "amount_too_large"})
NEEDS_CONFIRMATION: Final = "authentication_required"

_AccountEvent = (
    ThresholdCrossed | CallsRefused | PaymentSettled | PaymentFailed | PaymentReversed | PeriodClosed | ApiKeyChanged
)


class Notices:
    """Queues a delivery for each event that people should hear of, in the event's own transaction."""

    def __init__(self, queue: NoticeQueue) -> None:
        self._queue = queue

    async def queue_threshold(self, session: AsyncSession, event: ThresholdCrossed) -> None:
        """Once per level and arming: the event's id is made from them."""
        await self._tell(
            session,
            event,
            kind=threshold_kind(event.level, available=event.available),
            key=str(event.id),
            level=event.level,
            unit=event.unit,
            base=event.base,
            available=event.available,
            at=event.at,
        )

    async def queue_refusal(self, session: AsyncSession, event: CallsRefused) -> None:
        """Once per account, reason and arming, whichever gateway says it and however often.

        What our own faults refuse is no business of the customer's.
        """
        if event.reason in OUR_FAULT:
            return
        key = f"{event.account_id}:{event.reason}:{event.arming}"
        await self._tell(
            session,
            event,
            kind="calls-refused",
            key=key,
            reason=event.reason,
            model=event.model_asked,
            required_nano=event.required_nano,
            available_nano=event.available_nano,
        )

    async def queue_message(self, session: AsyncSession, event: MessageRequested) -> None:
        notice = Notice(
            dedupe_key=f"message:{event.message_id}",
            kind=event.kind,
            audience=Audience.MESSAGE,
            occurred_at=event.time,
            message_id=event.message_id,
            user_id=event.user_id,
            payload={"way": event.way} if event.way else {},
        )
        await self._queue.add(session, notice)

    async def queue_payment_received(self, session: AsyncSession, event: PaymentSettled) -> None:
        await self._tell(
            session,
            event,
            kind="payment-received",
            key=event.payment_id,
            payment_kind=event.kind,
            offer=event.offer_id,
            unit=event.grant_unit,
            granted=event.grant_amount,
            paid_minor=event.paid_minor + event.tax_minor + event.use_minor,
            currency=event.currency,
            valid_days=event.valid_days,
            period_end=event.period_end.isoformat() if event.period_end else None,
        )

    async def queue_payment_failed(self, session: AsyncSession, event: PaymentFailed) -> None:
        # A subscription's payment may fail several times under one id; each try is news, so the event's id is the key.
        await self._tell(
            session,
            event,
            kind="payment-action" if event.reason == NEEDS_CONFIRMATION else "payment-failed",
            key=str(event.id),
            payment_id=event.payment_id,
            payment_kind=event.kind,
            offer=event.offer_id,
            amount_minor=event.amount_minor,
            currency=event.currency,
            reason=event.reason,
            **({"card_brand": event.card_brand, "card_last4": event.card_last4} if event.card_last4 else {}),
        )

    async def queue_payment_reversed(self, session: AsyncSession, event: PaymentReversed) -> None:
        await self._tell(
            session,
            event,
            kind="payment-reversed",
            key=f"{event.reversal_id}:{event.kind}",
            reversal=event.kind,
            reversed_minor=event.reversed_minor + event.tax_minor,
            paid_minor=event.paid_minor,
            currency=event.currency,
        )

    async def queue_period_summary(self, session: AsyncSession, event: PeriodClosed) -> None:
        await self._tell(
            session,
            event,
            kind="period-summary",
            key=str(event.id),
            plan=event.plan_id,
            unit=event.unit,
            period_start=event.period_start.isoformat(),
            period_end=event.period_end.isoformat(),
            granted=event.granted,
            used=event.used,
            rolled_over=event.rolled_over,
            expired=event.expired,
            overage_nano=event.overage_nano,
            calls=event.calls,
        )

    async def queue_new_key(self, session: AsyncSession, event: ApiKeyChanged) -> None:
        """A key's first version is its making; the later ones are told where they matter."""
        if event.version != 1 or event.state != "active":
            return
        await self._tell(
            session,
            event,
            kind="key-created",
            key=str(event.api_key_id),
            key_id=str(event.api_key_id),
            made_at=event.time.isoformat(),
            expires_at=event.expires_at.isoformat() if event.expires_at else None,
        )

    async def _tell(self, session: AsyncSession, event: _AccountEvent, *, kind: str, key: str, **facts: Any) -> None:
        await self._queue.tell_account(session, event.account_id, kind=kind, key=key, occurred_at=event.time, **facts)

"""Events on their way to Kafka: acknowledged within a bound, or not stored."""

import asyncio
from datetime import datetime
from typing import Final
from uuid import UUID

from contracts.event import Event
from contracts.gateway import Allocation, CallsRefused, UsageRecorded
from gateway import metrics
from gateway.admission.types import Refused
from gateway.usage.report import CallReport, orphan_event
from kit import logging
from kit.clock import Clock
from kit.ids import fact_id
from kit.producer import Producer, ProducerError

log = logging.get(__name__)

STORE_TIMEOUT_S: Final = 5.0
PROBE_S: Final = 1.0
_SOURCE: Final = "gateway"


class UsagePublisher:
    """The one way by which events leave the gateway; knows whether Kafka answers."""

    def __init__(self, producer: Producer, *, clock: Clock, instance: str) -> None:
        self._producer = producer
        self._clock = clock
        self.instance = instance
        self.kafka_up = False

    async def store(self, event: UsageRecorded) -> bool:
        """True once all in-sync replicas have the event; the bytes are made once."""
        stored = await self._store(event)
        metrics.USAGE_STORED.labels("stored" if stored else "failed").inc()
        return stored

    async def refused(self, refused: Refused, *, account_id: UUID, model: str) -> None:
        """The first refusal for credit of an arming; says so once, whichever gateway finds it."""
        event = CallsRefused(
            id=fact_id("refused", account_id, "credit", refused.arming),
            time=self._clock.now(),
            account_id=account_id,
            reason="credit",
            arming=refused.arming,
            count=1,
            model_asked=model,
            required_nano=refused.required_nano,
            available_nano=refused.available_nano,
        )
        await self._store(event)

    async def orphaned(  # noqa: PLR0917  # the shape of `OrphanPublisher`
        self,
        account_id: UUID,
        call_id: UUID,
        report: bytes,
        allocation: tuple[Allocation, ...],
        admitted_at: datetime,
    ) -> None:
        """Report a swept call (`admission.types.OrphanPublisher`); raises when the event could not be stored."""
        event = orphan_event(
            CallReport.model_validate_json(report),
            account_id=account_id,
            call_id=call_id,
            instance=self.instance,
            allocation=allocation,
            admitted_at=admitted_at,
        )
        if not await self.store(event):
            raise ProducerError("the orphaned call could not be reported")

    async def probe(self) -> None:
        """Ask Kafka for a sign of life each second; run this in the background."""
        while True:
            try:
                async with asyncio.timeout(STORE_TIMEOUT_S):
                    await self._producer.ping()
                self._mark(up=True)
            except (ProducerError, TimeoutError):
                self._mark(up=False)
            await asyncio.sleep(PROBE_S)

    async def ready(self) -> None:
        """Raise `RuntimeError` while Kafka does not answer."""
        if not self.kafka_up:
            raise RuntimeError("Kafka does not answer")

    async def _store(self, event: Event) -> bool:
        encoded = event.encode(_SOURCE)
        try:
            async with asyncio.timeout(STORE_TIMEOUT_S):
                await self._producer.send(event.type, event.key.encode(), encoded)
        except (ProducerError, TimeoutError) as error:
            self._mark(up=False)
            reason = type(error).__name__
            log.error("gateway.event_not_stored", topic=event.type, event_id=str(event.id), reason=reason)  # noqa: TRY400
            return False
        return True

    def _mark(self, *, up: bool) -> None:
        if up != self.kafka_up:
            log.warning("gateway.kafka_state_changed", up=up)
        self.kafka_up = up
        metrics.KAFKA_UP.set(up)

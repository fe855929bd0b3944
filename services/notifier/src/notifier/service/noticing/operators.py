"""From events to alerts for those who operate."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.billing import OverageStranded
from contracts.event import Event
from contracts.gateway import ProviderStateChanged
from contracts.ledger import MarginFell, ReconciliationDiffered
from contracts.operations import DlqGrew
from notifier.service.noticing.queue import NoticeQueue


class OperatorNotices:
    """Queues alerts; most are told once per subject and hour."""

    def __init__(self, queue: NoticeQueue) -> None:
        self._queue = queue

    async def queue_set_aside(self, session: AsyncSession, event: DlqGrew) -> None:
        service = _service(event)
        facts = {"topic": event.topic, "partition": event.partition, "offset": event.offset, "reason": event.reason}
        await self._alert(
            session, event, kind="dlq-grew", key=f"{service}:{event.topic}:{_hour(event)}", origin=service, **facts
        )

    async def queue_gap(self, session: AsyncSession, event: ReconciliationDiffered) -> None:
        """Once per window and difference, as the event's id says."""
        await self._alert(
            session,
            event,
            kind="reconciliation-gap",
            key=str(event.id),
            gateway_instance=event.gateway_instance,
            window_start=event.window_start.isoformat(),
            window_end=event.window_end.isoformat(),
            admitted=event.admitted,
            booked=event.booked,
            parked=event.parked,
            set_aside=event.set_aside,
            missing=len(event.missing),
        )

    async def queue_thin_margin(self, session: AsyncSession, event: MarginFell) -> None:
        await self._alert(
            session,
            event,
            kind="margin-fell",
            key=str(event.id),
            scope=event.scope,
            subject=event.subject,
            window_start=event.window_start.isoformat(),
            window_end=event.window_end.isoformat(),
            revenue_nano=event.revenue_nano,
            cost_nano=event.cost_nano,
            margin_bps=event.margin_bps,
            floor_bps=event.floor_bps,
        )

    async def queue_stranded_use(self, session: AsyncSession, event: OverageStranded) -> None:
        await self._alert(
            session,
            event,
            kind="overage-stranded",
            key=str(event.id),
            account=str(event.account_id),
            since=event.since.isoformat(),
            amount_nano=event.amount_nano,
        )

    async def queue_provider_state(self, session: AsyncSession, event: ProviderStateChanged) -> None:
        """Only a broken route: a cooling credential is the ordinary answer to a rate limit."""
        if event.state != "broken":
            return
        await self._alert(
            session,
            event,
            kind="provider-down",
            key=f"{event.provider}:{event.route}:{_hour(event)}",
            provider=event.provider,
            route=event.route,
            credential_id=event.credential_id,
            reason=event.reason,
            gateway_instance=event.gateway_instance,
            until=event.until.isoformat() if event.until else None,
        )

    async def _alert(self, session: AsyncSession, event: Event, *, kind: str, key: str, **facts: Any) -> None:
        await self._queue.alert_operators(
            session, kind=kind, key=key, occurred_at=event.time, said_by=_service(event), **facts
        )


def _service(event: Event) -> str:
    return event.type.partition(".")[0]


def _hour(event: Event) -> str:
    return f"{event.time:%Y-%m-%dT%H}"

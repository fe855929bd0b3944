"""Sends what the spool holds, oldest first and in the same bytes, whenever Kafka answers."""

import asyncio
from collections.abc import Sequence
from typing import Final

from gateway.usage import metrics
from gateway.usage.kafka import Parcel
from gateway.usage.links import Links
from gateway.usage.outgoing import Outgoing
from gateway.usage.spool import Spool
from kit import logging

log = logging.get(__name__)

_PAUSE_S: Final = 0.25


class Replay:
    def __init__(self, spool: Spool, links: Links) -> None:
        self._spool = spool
        self._links = links

    async def run(self) -> None:
        """Replay until cancelled."""
        while True:
            if not await self.replay_some():
                await asyncio.sleep(_PAUSE_S)

    async def replay_some(self) -> int:
        """Send the oldest batch; how many events Kafka took, zero when there were none or Kafka is away."""
        if self._links.link is None or not self._spool.used_bytes:
            return 0
        events, position = await self._spool.next_batch()
        if not events or not await self._sent(events):
            return 0
        await self._spool.acknowledged(position, len(events))
        metrics.REPLAYED.inc(len(events))
        return len(events)

    async def _sent(self, events: Sequence[Outgoing]) -> bool:
        """Whether Kafka has all of them, but for those that it will never take."""
        parcels = await self._links.deliver(events)
        if not parcels:
            return False
        for parcel in parcels:
            if not (parcel.is_acked or (parcel.is_refused and await self._sent_singly(parcel))):
                return False
        return True

    async def _sent_singly(self, refused: Parcel) -> bool:
        for event in refused.events:
            parcels = await self._links.deliver([event])
            if not parcels or not (parcels[0].is_acked or parcels[0].is_refused):
                return False
            if parcels[0].is_refused:
                await self._spool.set_aside(event)
                log.error("gateway.spooled_event_refused", event_id=str(event.event_id), reason=parcels[0].error)
        return True

"""Keeps one link to Kafka that answers: a link that loses something or hangs is thrown away, not mended."""

import asyncio
from collections.abc import Sequence
from typing import Final

from contracts.topics import EVENT_TOPICS
from gateway import metrics as gateway_metrics
from gateway.usage import metrics
from gateway.usage.kafka import KafkaLink, LinkError, Parcel
from gateway.usage.outgoing import Outgoing
from kit import logging

log = logging.get(__name__)

TOPICS: Final = tuple(topic.name for topic in EVENT_TOPICS if "gateway" in topic.producers)
DELIVERY_S: Final = 6.0
_PROBE_S: Final = 1.0
_RECONNECT_S: Final = 0.25


class Links:
    """`link` is None while Kafka is known to be away."""

    def __init__(self, bootstrap: str, *, client_id: str) -> None:
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._doubted = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()
        self.link: KafkaLink | None = None
        self.is_up = False

    async def run(self) -> None:
        """Connect, and look each second whether Kafka answers; until cancelled."""
        while True:
            await self.connect()
            link = self.link
            if link is None:
                await asyncio.sleep(_RECONNECT_S)
                continue
            try:
                async with asyncio.timeout(_PROBE_S):
                    await self._doubted.wait()
            except TimeoutError:
                # Doubted in the same turn of the loop, it is closed already.
                if self.link is link:
                    await self._probe(link)

    async def connect(self) -> None:
        """Open a link unless there is one; `link` stays None when Kafka does not answer."""
        if self.link is not None:
            return
        link = KafkaLink(self._bootstrap, client_id=self._client_id, topics=TOPICS)
        try:
            await link.open()
        except LinkError as error:
            self._mark(up=False, reason=str(error))
            await link.close()
        else:
            self._doubted.clear()
            self.link = link
            self._mark(up=True, reason=None)

    async def _probe(self, link: KafkaLink) -> None:
        try:
            await link.probe()
        except LinkError as error:
            if self.link is link:
                self.doubt(str(error))

    def doubt(self, reason: str) -> None:
        """The link lost something, or is late with it: until a new one answers, Kafka counts as away."""
        link, self.link = self.link, None
        if link is None:
            return
        metrics.LINKS.inc()
        self._mark(up=False, reason=reason)
        self._doubted.set()
        # In the background: a link that hangs may also hang in closing.
        task = asyncio.create_task(link.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _mark(self, *, up: bool, reason: str | None) -> None:
        if up != self.is_up:
            log.warning("gateway.kafka_state_changed", up=up, reason=reason)
        self.is_up = up
        gateway_metrics.KAFKA_UP.set(up)

    async def deliver(self, events: Sequence[Outgoing]) -> list[Parcel]:
        """Send and wait, within a bound; none when Kafka is away."""
        link, arrived, parcels = self.link, asyncio.Event(), []
        if link is None:
            return []
        left = 0

        def on_arrived(_parcel: Parcel) -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                arrived.set()

        parcels = link.send(events, on_arrived)
        left += len(parcels)
        try:
            async with asyncio.timeout(DELIVERY_S):
                await arrived.wait()
        except TimeoutError:
            self.doubt("late")
        return parcels

    async def close(self) -> None:
        self.doubt("stopped")
        if self._closing:
            await asyncio.wait(set(self._closing))

"""Snapshots that the ledger publishes, read by one group of all gateways and applied by script."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from contracts.event import Event
from contracts.ledger import BalanceChanged
from contracts.operations import GatewayDlqGrew
from gateway.admission.caller import Admission
from gateway.admission.snapshots import SnapshotRefusedError
from gateway.admission.types import AdmissionUnavailableError
from kit import dead_letters, logging, metrics
from kit.backoff import Backoff
from kit.clock import Clock
from kit.ids import fact_id
from kit.producer import Producer, ProducerError
from kit.received import Received, Record, SetAside, decode_all

log = logging.get(__name__)

GROUP: Final = "gateway-balances"
SOURCE: Final = "gateway"
AT_ONCE: Final = 16
STUCK_AFTER_S: Final = 120.0
RETRY_IN_PLACE_S: Final = 60.0
TYPES: Final[dict[str, type[Event]]] = {BalanceChanged.type: BalanceChanged}


class BalanceReader:
    """Applies `ledger.balance-changed.v1`; offsets are committed after the scripts ran: a snapshot may come twice."""

    def __init__(
        self, *, bootstrap: str, admission: Admission, producer: Producer, clock: Clock, group: str = GROUP
    ) -> None:
        self._bootstrap = bootstrap
        self._admission = admission
        self._producer = producer
        self._clock = clock
        self._group = group
        self._busy_since: float | None = None
        self._connected = False

    async def run(self) -> None:
        """Read until cancelled; after a failure it starts over from the last commit."""
        backoff = Backoff(first_s=0.2, most_s=5.0)
        while True:
            kafka = self._consumer()
            try:
                await kafka.start()
                self._connected = True
                await self._follow(kafka, backoff)
            except (KafkaError, OSError, TimeoutError, AdmissionUnavailableError, ProducerError) as error:
                log.warning("admission.balances_delayed", reason=type(error).__name__)
                await asyncio.sleep(backoff.next_s())
            finally:
                self._connected = False
                self._busy_since = None
                with suppress(KafkaError, TimeoutError, OSError):
                    async with asyncio.timeout(5):
                        await kafka.stop()

    async def live(self) -> None:
        """Raise `RuntimeError` when a batch is stuck."""
        if self._busy_since is not None and self._clock.monotonic() - self._busy_since > STUCK_AFTER_S:
            raise RuntimeError(f"a batch of balances is stuck for more than {STUCK_AFTER_S:.0f} s")

    async def ready(self) -> None:
        """Raise `RuntimeError` when Kafka was not reached."""
        if not self._connected:
            raise RuntimeError("balances are not being read from Kafka")

    def _consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            BalanceChanged.type,
            bootstrap_servers=self._bootstrap,
            client_id=self._group,
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=10_000,
            # Who joins or leaves waits until each of the others has heard of it with its next heartbeat.
            heartbeat_interval_ms=500,
            max_poll_interval_ms=300_000,
            fetch_max_wait_ms=200,
            request_timeout_ms=10_000,
        )

    async def _follow(self, kafka: AIOKafkaConsumer, backoff: Backoff) -> None:
        while True:
            batches = await kafka.getmany(timeout_ms=500, max_records=500)
            records = [record for batch in batches.values() for record in batch]
            if not records:
                continue
            self._busy_since = self._clock.monotonic()
            with metrics.BATCH_SECONDS.labels(self._group).time():
                await self._apply(records)
            async with asyncio.timeout(10):
                await kafka.commit()
            self._busy_since = None
            backoff.reset()

    async def _apply(self, records: Sequence[Record]) -> None:
        received, set_aside = decode_all(records, TYPES)
        limit = asyncio.Semaphore(AT_ONCE)
        refused = await asyncio.gather(*(self._apply_one(one, limit) for one in received))
        set_aside += [aside for aside in refused if aside is not None]
        for aside in set_aside:
            await self._set_aside(aside)

    async def _apply_one(self, received: Received[Any], limit: asyncio.Semaphore) -> SetAside | None:
        event: BalanceChanged = received.event
        backoff = Backoff(first_s=0.1, most_s=3.0)
        began = self._clock.monotonic()
        async with limit:
            while True:
                try:
                    await self._admission.apply_snapshot(event)
                except SnapshotRefusedError as error:
                    return SetAside(received.record, str(error))
                except AdmissionUnavailableError:
                    # Longer would come near the poll interval: fetched anew from the last commit.
                    if self._clock.monotonic() - began > RETRY_IN_PLACE_S:
                        raise
                    await asyncio.sleep(backoff.next_s())
                else:
                    metrics.RECORDS_APPLIED.labels(self._group, event.type).inc()
                    return None

    async def _set_aside(self, aside: SetAside) -> None:
        record = aside.record
        metrics.RECORDS_SET_ASIDE.labels(self._group, record.topic).inc()
        log.error(
            "kit.record_set_aside",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=aside.reason,
        )
        grew = GatewayDlqGrew(
            id=fact_id(SOURCE, self._group, record.topic, record.partition, record.offset, "dlq"),
            time=self._clock.now(),
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=aside.reason,
        )
        await self._producer.send_all(
            [
                (f"{record.topic}.dlq", record.key, dead_letters.encode(aside, group=self._group)),
                (grew.type, grew.key.encode(), grew.encode(SOURCE)),
            ]
        )

"""Runs a consumer on Kafka: batches through FastStream, back-off, poison set aside, liveness by progress."""

import asyncio
import logging as stdlib_logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

from kit import dlq, logging, metrics
from kit.backoff import Backoff
from kit.clock import Clock
from kit.consumer import Consumer
from kit.database import Database, is_transient
from kit.received import Record, SetAside
from kit.retrier import ParkedRetrier
from kit.tasks import is_stopping

log = logging.get(__name__)

STUCK_AFTER_S: Final = 120.0
RETRY_IN_PLACE_S: Final = 60.0
WATCH_S: Final = 2.0
# A member that was killed keeps its place for its session time-out, and joining waits for that.
START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 6.0
LEAVE_TIMEOUT_S: Final = 2.0
# aiokafka tries a commit again for as long as Kafka is away.
COMMIT_TIMEOUT_S: Final = 10.0
BEHIND_TIMEOUT_S: Final = 1.0


async def _undecoded(_message: Any, _original: Any = None) -> list[Any]:
    """FastStream decodes nothing: one record with broken JSON would fail the whole batch before the handler."""
    return []


class Runner:
    """One consumer group of one service.

    Offsets are committed by hand after the transaction: FastStream's default commits first and loses what fails.
    """

    def __init__(
        self,
        consumer: Consumer,
        *,
        database: Database,
        bootstrap: str,
        clock: Clock,
        max_records: int = 2000,
        poll_ms: int = 50,
        stop_timeout_s: float = STOP_TIMEOUT_S,
    ) -> None:
        self._consumer = consumer
        self._database = database
        self._clock = clock
        self._parked = ParkedRetrier(consumer, database=database, clock=clock)
        self._busy_since: float | None = None
        self._waiting_since: float | None = None
        self._last_progress = clock.monotonic()
        self._failing: str | None = None
        self._stopping = False
        self._stop_timeout_s = stop_timeout_s
        self._broker = KafkaBroker(
            bootstrap,
            client_id=consumer.group,
            allow_auto_create_topics=False,
            logger=None,
            log_level=stdlib_logging.WARNING,
            retry_backoff_ms=500,
            consumer_only=True,
        )
        self._subscriber = self._broker.subscriber(
            *consumer.topics,
            group_id=consumer.group,
            batch=True,
            max_records=max_records,
            batch_timeout_ms=poll_ms,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            session_timeout_ms=10_000,
            max_poll_interval_ms=300_000,
            decoder=_undecoded,
        )
        self._subscriber(self._on_batch)

    async def run(self) -> None:
        """Consume until cancelled."""
        await self._start()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._parked.run())
                group.create_task(self._keep_consuming())
        finally:
            self._stopping = True
            await self._stop_broker()

    async def _start(self) -> None:
        backoff = Backoff()
        while True:
            try:
                async with asyncio.timeout(START_TIMEOUT_S):
                    await self._broker.start()
                return
            except (KafkaError, OSError, TimeoutError, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and is_stopping():
                    raise
                log.warning("kit.consumer_start_delayed", group=self._consumer.group, reason=type(error).__name__)
                await self._stop_broker()
                await asyncio.sleep(backoff.next_s())

    async def _stop_broker(self) -> None:
        """Let the running batch end; then, whatever hangs, leave the group, so that another member gets the records."""
        kafka, tasks = self._subscriber.consumer, list(self._subscriber.tasks)
        try:
            async with asyncio.timeout(self._stop_timeout_s):
                await self._broker.stop()
            return
        except (TimeoutError, KafkaError, OSError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_stopping():
                raise
            log.warning("kit.consumer_stop_failed", group=self._consumer.group, reason=type(error).__name__)
        for task in tasks:
            task.cancel()
        with suppress(TimeoutError, KafkaError, OSError):
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                if kafka is not None:
                    await kafka.stop()

    async def _keep_consuming(self) -> None:
        """A cancellation that aiokafka let out ends FastStream's loop without a word: start it again."""
        while True:
            await asyncio.sleep(WATCH_S)
            if any(task.done() for task in self._subscriber.tasks):
                log.error("kit.consumer_ended", group=self._consumer.group)
                await self._stop_broker()
                await self._start()

    async def _on_batch(self, message: KafkaMessage) -> None:
        raw = message.raw_message
        records: Sequence[Record] = raw if isinstance(raw, tuple) else (raw,)
        backoff = Backoff(first_s=0.2)
        began = self._busy_since = self._clock.monotonic()
        applied = False
        while not self._stopping and self._clock.monotonic() - began < RETRY_IN_PLACE_S:
            # FastStream skips a batch whose handler raises, so nothing may leave this loop but an applied batch.
            try:
                if not applied:
                    await self._apply_or_isolate(records)
                    applied = True
                async with asyncio.timeout(COMMIT_TIMEOUT_S):
                    await message.ack()
                self._progressed()
                return
            except (Exception, asyncio.CancelledError) as error:  # whatever it is, the batch must be tried again
                if isinstance(error, asyncio.CancelledError) and is_stopping():
                    raise
                self._failing = type(error).__name__
                self._last_progress = self._clock.monotonic()
                log.warning("kit.batch_delayed", group=self._consumer.group, reason=self._failing, records=len(records))
                await asyncio.sleep(backoff.next_s())
        # Longer would exceed the poll interval: give the records back and fetch them anew.
        self._give_back(records)
        self._busy_since = None

    def _give_back(self, records: Sequence[Record]) -> None:
        """Rewind each partition to its first record; `nack` would stop at one that is no longer ours."""
        earliest: dict[TopicPartition, int] = {}
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            earliest[partition] = min(record.offset, earliest.get(partition, record.offset))
        kafka = self._subscriber.consumer
        for partition, offset in earliest.items():
            with suppress(KafkaError):
                if kafka is not None:
                    kafka.seek(partition, offset)

    async def _apply_or_isolate(self, records: Sequence[Record]) -> None:
        """Apply the batch; when it fails by its content, apply each record alone and set the poison aside."""
        try:
            await self._apply(records)
        except Exception as error:
            if is_transient(error):
                raise
            log.exception("kit.batch_failed", group=self._consumer.group, records=len(records))
            for record in records:
                await self._apply_alone(record)

    async def _apply_alone(self, record: Record) -> None:
        try:
            await self._apply([record])
        except Exception as error:
            if is_transient(error):
                raise
            reason = f"cannot be applied: {type(error).__name__}"
            async with self._database.transaction() as session:
                await dlq.add(session, self._consumer.group, [SetAside(record, reason)], clock=self._clock)

    async def _apply(self, records: Sequence[Record]) -> None:
        with metrics.BATCH_SECONDS.labels(self._consumer.group).time():
            async with self._database.transaction() as session:
                await self._consumer.apply(session, records, clock=self._clock)

    def _progressed(self) -> None:
        self._failing = None
        self._busy_since = None
        self._last_progress = self._clock.monotonic()

    async def live(self) -> None:
        """Raise `RuntimeError` when a batch is stuck, or records wait and nothing moves: only a restart helps then."""
        now = self._clock.monotonic()
        since = self._busy_since
        if since is None:
            since = self._waiting_since = await self._first_seen_behind(now)
        if since is not None and now - max(since, self._last_progress) > STUCK_AFTER_S:
            raise RuntimeError(f"no progress for {STUCK_AFTER_S:.0f} s although records wait")

    async def _first_seen_behind(self, now: float) -> float | None:
        """Since when records are known to wait; Kafka is asked only after a while without any progress."""
        if now - self._last_progress <= STUCK_AFTER_S or not await self._behind():
            return None
        return now if self._waiting_since is None else self._waiting_since

    async def _behind(self) -> bool:
        """Ask the broker where the partitions end: a fetcher that died silently would not know."""
        kafka = self._subscriber.consumer
        if kafka is None or not (partitions := list(kafka.assignment())):
            return False
        try:
            async with asyncio.timeout(BEHIND_TIMEOUT_S):
                ends = await kafka.end_offsets(partitions)
                positions = [(await kafka.position(partition), end) for partition, end in ends.items()]
        except (KafkaError, OSError, TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_stopping():
                raise
            return False
        return any(position < end for position, end in positions)

    async def ready(self) -> None:
        """Raise `RuntimeError` with the reason while batches fail or no partition is assigned."""
        if self._failing:
            raise RuntimeError(f"batches fail: {self._failing}")
        if self._subscriber.consumer is None:
            raise RuntimeError("not connected to Kafka yet")

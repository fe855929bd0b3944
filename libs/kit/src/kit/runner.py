"""Runs a consumer on Kafka: batches through FastStream, back-off, poison set aside, liveness by progress."""

import asyncio
import logging as stdlib_logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, ConsumerStoppedError, IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

from kit import dlq, logging, metrics
from kit.backoff import Backoff
from kit.clock import Clock
from kit.consumer import ONE_LANE, Consumer, Lanes
from kit.database import Database, is_transient
from kit.received import Decoded, Received, Record, SetAside
from kit.retrier import ParkedRetrier
from kit.tasks import is_stopping
from kit.under_way import GivenBackError, Part, UnderWay, behind, firsts

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
# One whose last lanes are still with the database, and one whose first lanes are there already.
UNDER_WAY_AT_ONCE: Final = 2
DECODED_AT_ONCE: Final = 200
# A fetch is what one partition gives to a batch at most: with the usual 1 MB no batch would become large.
FETCHED_BYTES: Final = 4 << 20
# While a batch is applied, the partitions that wait with records are left out of the next fetch, and what remains are
# the quiet ones: that request lasts so long, and nothing is fetched from the busy ones meanwhile. A consumer that has
# nothing to do asks anew as often as that, which costs an idle broker and an idle service some percent of a core.
FETCH_WAIT_MS: Final = 500
POLL_MS: Final = 50


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
        lanes: Lanes = ONE_LANE,
        fetch_wait_ms: int = FETCH_WAIT_MS,
        stop_timeout_s: float = STOP_TIMEOUT_S,
    ) -> None:
        self._consumer = consumer
        self._database = database
        self._clock = clock
        self._lanes = lanes
        self._parked = ParkedRetrier(consumer, database=database, clock=clock)
        self._waiting_since: float | None = None
        self._last_progress = clock.monotonic()
        self._failing: str | None = None
        self._stopping = False
        self._under_way: list[UnderWay] = []
        self._returned: dict[TopicPartition, int] = {}
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
            batch_timeout_ms=POLL_MS,
            max_partition_fetch_bytes=FETCHED_BYTES,
            fetch_max_wait_ms=fetch_wait_ms,
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
        """Let what is under way end; then, whatever hangs, leave the group, so that another member gets the records."""
        kafka, tasks = self._subscriber.consumer, list(self._subscriber.tasks)
        try:
            async with asyncio.timeout(self._stop_timeout_s):
                await self._all_ended()
                await self._broker.stop()
            return
        except (TimeoutError, KafkaError, OSError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_stopping():
                raise
            log.warning("kit.consumer_stop_failed", group=self._consumer.group, reason=type(error).__name__)
        for task in [*tasks, *self._batch_tasks()]:
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
        """Decode a batch while those before it are with the database, and begin it behind them, in order."""
        raw, kafka = message.raw_message, self._subscriber.consumer
        records: Sequence[Record] = raw if isinstance(raw, tuple) else (raw,)
        decoded = await self._decoded(records)
        parts = self._consumer.parts(decoded, lanes=self._lanes.wanted(len(decoded[0])))
        batch = UnderWay(records, parts, began_s=self._clock.monotonic())
        await self._room_for(batch)
        if self._returned or self._stopping:
            # Fetched before an earlier batch was given back: it comes again, behind that one. So does what began behind
            # that one; were it given back later than this, it would be the place from which is fetched anew.
            await self._all_ended()
            self._give_back(records, kafka)
            return
        if self._under_way:
            batch.follow(self._under_way[-1])
        self._under_way.append(batch)
        batch.task = asyncio.create_task(self._apply_and_commit(batch, kafka), name="batch")

    async def _room_for(self, batch: UnderWay) -> None:
        under_way = self._under_way
        while under_way and (len(under_way) >= UNDER_WAY_AT_ONCE or not batch.may_follow(under_way[-1])):
            await asyncio.wait(self._batch_tasks()[:1])

    def _batch_tasks(self) -> list[asyncio.Task[None]]:
        return [batch.task for batch in self._under_way if batch.task is not None]

    async def _all_ended(self) -> None:
        if batches := self._batch_tasks():
            await asyncio.wait(batches)

    async def _decoded(self, records: Sequence[Record]) -> Decoded:
        good: list[Received[Any]] = []
        bad: list[SetAside] = []
        for start in range(0, len(records), DECODED_AT_ONCE):
            some = self._consumer.decode(records[start : start + DECODED_AT_ONCE])
            good += some[0]
            bad += some[1]
            # The other batch goes on between its statements.
            await asyncio.sleep(0)
        return good, bad

    async def _apply_and_commit(self, batch: UnderWay, kafka: AIOKafkaConsumer | None) -> None:
        try:
            is_committed = await self._keep_applying(batch, kafka)
        finally:
            batch.end()
            self._under_way.remove(batch)
        if not is_committed:
            self._give_back(batch.records, kafka, keep=True)

    async def _keep_applying(self, batch: UnderWay, kafka: AIOKafkaConsumer | None) -> bool:
        """Whether the batch is applied and committed; longer than this tries, it would exceed the poll interval."""
        backoff = Backoff(first_s=0.2)
        failing_since: float | None = None
        while not self._stopping:
            # Nobody waits for what this raises, so nothing may leave this loop but an applied batch.
            began = self._clock.monotonic()
            try:
                for part in batch.parts:
                    await self._apply_lanes(batch, part)
                await batch.turn_to_commit()
                await self._commit(batch.records, kafka)
                batch.committed.set_result(True)
                self._progressed()
                return True
            except GivenBackError:
                break
            except (Exception, asyncio.CancelledError) as error:  # whatever it is, the batch must be tried again
                if isinstance(error, asyncio.CancelledError) and is_stopping():
                    raise
                self._tell_delayed(batch, reason=type(error).__name__)
                failing_since = began if failing_since is None else failing_since
                if self._clock.monotonic() - failing_since >= RETRY_IN_PLACE_S:
                    break
                await asyncio.sleep(backoff.next_s())
        return False

    def _tell_delayed(self, batch: UnderWay, *, reason: str) -> None:
        self._failing = reason
        self._last_progress = self._clock.monotonic()
        log.warning("kit.batch_delayed", group=self._consumer.group, reason=reason, records=len(batch.records))

    async def _commit(self, records: Sequence[Record], kafka: AIOKafkaConsumer | None) -> None:
        """Commit behind these records only: the next batch is fetched already. What is no longer ours is not ours."""
        if kafka is None:
            return
        ours = kafka.assignment()
        offsets = {partition: offset for partition, offset in behind(records).items() if partition in ours}
        if not offsets:
            return
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                await kafka.commit(offsets)
        except (CommitFailedError, IllegalStateError, ConsumerStoppedError) as error:
            # Another member reads these records again, and finds them applied.
            log.warning("kit.commit_overtaken", group=self._consumer.group, reason=type(error).__name__)

    def _give_back(self, records: Sequence[Record], kafka: AIOKafkaConsumer | None, *, keep: bool = False) -> None:
        """Rewind each partition to its first record that is not applied; with `keep`, once more with the next batch.

        A fetch may be under way while the first of two batches is given back.
        """
        for partition, offset in firsts(records).items():
            self._returned[partition] = min(offset, self._returned.get(partition, offset))
        for partition, offset in self._returned.items():
            with suppress(KafkaError):
                if kafka is not None:
                    kafka.seek(partition, offset)
        if not keep:
            self._returned.clear()

    async def _apply_lanes(self, batch: UnderWay, part: Part) -> None:
        """Apply lanes side by side, each in a transaction of its own; raises when one failed, and only that remains."""
        outcomes = await asyncio.gather(
            *(self._apply_lane(batch, part, lane) for lane in range(len(part))), return_exceptions=True
        )
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def _apply_lane(self, batch: UnderWay, part: Part, lane: int) -> None:
        if (decoded := part[lane]) is None:
            return
        await batch.turn_of(lane)
        if decoded[0] or decoded[1]:
            await self._apply_or_isolate(decoded)
        batch.lane_applied(part, lane)

    async def _apply_or_isolate(self, decoded: Decoded) -> None:
        """Apply the batch; when it fails by its content, apply each record alone and set the poison aside."""
        records = [*(one.record for one in decoded[0]), *(one.record for one in decoded[1])]
        try:
            await self._apply(decoded)
        except Exception as error:
            if is_transient(error):
                raise
            log.exception("kit.batch_failed", group=self._consumer.group, records=len(records))
            for record in records:
                await self._apply_alone(record)

    async def _apply_alone(self, record: Record) -> None:
        try:
            await self._apply(self._consumer.decode([record]))
        except Exception as error:
            if is_transient(error):
                raise
            reason = f"cannot be applied: {type(error).__name__}"
            async with self._database.transaction() as session:
                await dlq.add(session, self._consumer.group, [SetAside(record, reason)], clock=self._clock)

    async def _apply(self, decoded: Decoded) -> None:
        with metrics.BATCH_SECONDS.labels(self._consumer.group).time():
            async with self._database.transaction() as session:
                await self._consumer.apply_decoded(session, decoded, clock=self._clock)

    def _progressed(self) -> None:
        self._failing = None
        self._last_progress = self._clock.monotonic()

    async def live(self) -> None:
        """Raise `RuntimeError` when a batch is stuck, or records wait and nothing moves: only a restart helps then."""
        now = self._clock.monotonic()
        since = self._under_way[0].began_s if self._under_way else None
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

"""Reading compacted topics whole: from the beginning, with one's own position, and on from there (money.md 27)."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from contracts.event import Event
from kit import logging
from kit.backoff import Backoff
from kit.clock import Clock
from kit.received import decode_all
from kit.tasks import is_stopping

log = logging.get(__name__)

_ASK_EVERY_S: Final = 0.5
_POSITION_S: Final = 10.0
# How often a reader with no news asks anew, each time at a cost to Kafka; news themselves are answered at once.
_FETCH_WAIT_MS: Final = 500


class StateReader:
    """Hands every event of some state topics to one function; `caught_up` is set when the end of the start was reached.

    A record that cannot be decoded is logged and passed over: the topic's owner corrects it with a newer one.
    """

    def __init__(
        self, bootstrap: str, handlers: Mapping[type[Event], Callable[[Event], None]], *, clock: Clock, client_id: str
    ) -> None:
        self._bootstrap = bootstrap
        self._handlers = {event.type: handler for event, handler in handlers.items()}
        self._types = {event.type: event for event in handlers}
        self._clock = clock
        self._client_id = client_id
        self.current_at = float("-inf")
        """By the clock's `monotonic`: everything that was published before has been handed over."""
        self._began = clock.monotonic()
        self.caught_up = asyncio.Event()

    def age_s(self) -> float:
        """How old the news may be that have not been read, in seconds; at first, how long reading has taken so far."""
        return self._clock.monotonic() - max(self.current_at, self._began)

    async def run(self) -> None:
        """Read until cancelled; a broken connection starts over from the beginning, which is harmless."""
        backoff = Backoff(first_s=0.2, most_s=5.0)
        while True:
            kafka = AIOKafkaConsumer(
                bootstrap_servers=self._bootstrap,
                client_id=self._client_id,
                enable_auto_commit=False,
                group_id=None,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=_FETCH_WAIT_MS,
                request_timeout_ms=5_000,
                retry_backoff_ms=500,
            )
            try:
                await kafka.start()
                await self._follow(kafka, backoff)
            except (KafkaError, OSError, TimeoutError, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and is_stopping():
                    raise
                log.warning("kit.state_reading_delayed", reason=type(error).__name__)
                await asyncio.sleep(backoff.next_s())
            finally:
                await _stopped(kafka)

    async def _follow(self, kafka: AIOKafkaConsumer, backoff: Backoff) -> None:
        partitions = await self._partitions(kafka)
        kafka.assign(partitions)
        await kafka.seek_to_beginning(*partitions)
        while True:
            # Asked anew each time: getmany is silent when Kafka is away, this is not; and a poll that was answered
            # proves nothing while there is more to read, as after an outage.
            asked_at = self._clock.monotonic()
            ends = await kafka.end_offsets(partitions)
            while not await self._reached(kafka, ends):
                await self._poll(kafka, ends)
                await kafka.end_offsets(partitions[:1])
            self.current_at = asked_at
            self.caught_up.set()
            backoff.reset()
            await self._poll(kafka, {})

    async def _poll(self, kafka: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> None:
        """Hand over what comes, for a while or until all before `ends` is there."""
        until = asyncio.get_running_loop().time() + _ASK_EVERY_S
        while asyncio.get_running_loop().time() < until:
            batches = await kafka.getmany(timeout_ms=200, max_records=2000)
            for records in batches.values():
                self._hand_over(records)
            if ends and await self._reached(kafka, ends):
                return

    async def _partitions(self, kafka: AIOKafkaConsumer) -> list[TopicPartition]:
        metadata = await kafka._client.fetch_all_metadata()  # noqa: SLF001  # no public way before a subscription
        found = []
        for topic in self._types:
            numbers = metadata.partitions_for_topic(topic)
            if not numbers:
                raise KafkaError(f"topic {topic} does not exist yet")
            found += [TopicPartition(topic, number) for number in sorted(numbers)]
        return found

    @staticmethod
    async def _reached(kafka: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
        async with asyncio.timeout(_POSITION_S):
            for partition, end in ends.items():
                if await kafka.position(partition) < end:
                    return False
        return True

    def _hand_over(self, records: list[object]) -> None:
        good, bad = decode_all(records, self._types)  # type: ignore[arg-type]  # aiokafka is untyped
        for one in good:
            self._handlers[one.event.type](one.event)
        for aside in bad:
            log.error(
                "kit.state_record_skipped", topic=aside.record.topic, offset=aside.record.offset, reason=aside.reason
            )


async def _stopped(kafka: AIOKafkaConsumer) -> None:
    try:
        async with asyncio.timeout(5):
            await kafka.stop()
    except asyncio.CancelledError:
        if is_stopping():
            raise
    except (KafkaError, TimeoutError, OSError) as error:
        log.warning("kit.state_reader_stop_failed", reason=type(error).__name__)

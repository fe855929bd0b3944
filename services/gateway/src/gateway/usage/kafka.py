"""The gateway's own way into Kafka: whole batches per partition, acknowledged by all in-sync replicas.

aiokafka's producer costs a future per record, keeps one request per broker in flight, and can hang for ever or be
poisoned by a lost sequence (aiokafka#1101, #1017). This uses only its client underneath: metadata, connections,
authentication. There is no sequence to lose, as events carry ids; and a `KafkaLink` that does not answer is thrown
away whole, by whoever watches it.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

from gateway.usage.outgoing import Outgoing
from gateway.usage.produce import Answered, Batches, Produce
from kit import logging
from kit.tasks import is_stopping

log = logging.get(__name__)

CONNECT_TIMEOUT_S: Final = 5.0
PROBE_TIMEOUT_S: Final = 2.0
_METADATA_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 5.0
_REQUEST_TIMEOUT_MS: Final = 5000
# Compressing costs more CPU than all the rest; the topic's own `compression.type` saves the broker's disk.
_PLAIN: Final = 0
_MOST_BATCH_BYTES: Final = 900_000
# These say that the record itself will never be taken.
_FINAL: Final = frozenset({"MessageSizeTooLargeError", "RecordListTooLargeError", "InvalidRecordError"})


class LinkError(Exception):
    """Kafka cannot be reached, or does not answer."""


class Parcel:
    """Events for one partition that travel, and are acknowledged, together."""

    __slots__ = ("error", "events", "is_acked", "is_over", "link_failed", "partition", "topic")

    def __init__(self, topic: str, partition: int, events: list[Outgoing]) -> None:
        self.topic = topic
        self.partition = partition
        self.events = events
        self.is_acked = False
        self.is_over = False
        self.link_failed = False
        self.error: str | None = None

    @property
    def is_refused(self) -> bool:
        """Whether sending the same again is of no use."""
        return self.error in _FINAL


Arrived = Callable[[Parcel], None]


class KafkaLink:
    """One connection to the cluster, from `open` until somebody gives it up; there is no way back."""

    def __init__(self, bootstrap: str, *, client_id: str, topics: Sequence[str]) -> None:
        self._client = AIOKafkaClient(
            bootstrap_servers=bootstrap,
            client_id=client_id,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            metadata_max_age_ms=int(_METADATA_S * 1000),
            retry_backoff_ms=250,
        )
        self._topics = tuple(topics)
        self._answering: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._partitions: dict[str, int] = {}
        self._leaders: dict[tuple[str, int], int] = {}
        self._learned_s = float("-inf")

    async def open(self) -> None:
        """Connect and learn where the partitions are; raises `LinkError`."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._client.bootstrap()
                await self._client.set_topics(self._topics)
        except (KafkaError, OSError, TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_stopping():
                raise
            raise LinkError(f"Kafka is not reachable: {type(error).__name__}") from error
        await self.probe()

    async def probe(self) -> None:
        """Learn where the partitions are, and ask each leader for a sign of life; `LinkError` when none gives one."""
        is_stale = time.monotonic() - self._learned_s > _METADATA_S or -1 in self._leaders.values()
        if is_stale and await self._bounded(self._learn()) is None:
            raise LinkError("Kafka tells no metadata")
        leaders = {leader for leader in self._leaders.values() if leader >= 0}
        answers = await asyncio.gather(*(self._bounded(self._greet(leader)) for leader in leaders))
        self._answering = {leader for leader, answer in zip(leaders, answers, strict=True) if answer is not None}
        if not self._answering:
            raise LinkError("no leader answers")

    async def _bounded(self, asking: Coroutine[Any, Any, bool]) -> bool | None:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                return await asking
        except (KafkaError, OSError, TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_stopping():
                raise
            return None

    async def _greet(self, node: int) -> bool:
        await self._client.send(node, Produce({}, timeout_ms=_REQUEST_TIMEOUT_MS))
        return True

    async def _learn(self) -> bool:
        cluster = await self._client.fetch_all_metadata()
        for topic in self._topics:
            partitions = cluster.partitions_for_topic(topic) or set()
            self._partitions[topic] = len(partitions)
            for partition in partitions:
                leader = cluster.leader_for_partition(TopicPartition(topic, partition))
                self._leaders[topic, partition] = -1 if leader is None else leader
        self._learned_s = time.monotonic()
        return True

    def send(self, events: Sequence[Outgoing], then: Arrived) -> list[Parcel]:
        """Send at once; `then` is called once per parcel, acknowledged or not, unless the link is given up before."""
        parcels = self._parcels(events)
        by_node: dict[int, list[Parcel]] = defaultdict(list)
        for parcel in parcels:
            node = self._leaders.get((parcel.topic, parcel.partition), -1)
            by_node[node if node in self._answering else -1].append(parcel)
        for parcel in by_node.pop(-1, []):
            parcel.error = "NoLeader"
            asyncio.get_running_loop().call_soon(then, parcel)
        for node, some in by_node.items():
            self._start(node, some, then)
        return parcels

    def _parcels(self, events: Sequence[Outgoing]) -> list[Parcel]:
        sorted_out: dict[tuple[str, int], Parcel] = {}
        parcels: list[Parcel] = []
        sizes: dict[tuple[str, int], int] = defaultdict(int)
        for event in events:
            topic = event.topic
            place = topic, event.key_hash % (self._partitions.get(topic) or 1)
            parcel = sorted_out.get(place)
            sizes[place] += len(event.value) + 100
            if parcel is None or sizes[place] > _MOST_BATCH_BYTES:
                parcel = sorted_out[place] = Parcel(topic, place[1], [])
                sizes[place] = len(event.value) + 100
                parcels.append(parcel)
            parcel.events.append(event)
        return parcels

    def _start(self, node: int, parcels: list[Parcel], then: Arrived) -> None:
        # A request holds at most one batch per partition.
        rounds: list[dict[tuple[str, int], Parcel]] = []
        for parcel in parcels:
            place = parcel.topic, parcel.partition
            for one in rounds:
                if place not in one:
                    one[place] = parcel
                    break
            else:
                rounds.append({place: parcel})
        for one in rounds:
            task = asyncio.create_task(self._produce(node, one, then))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _produce(self, node: int, parcels: dict[tuple[str, int], Parcel], then: Arrived) -> None:
        batches: Batches = defaultdict(list)
        for parcel in parcels.values():
            batches[parcel.topic].append((parcel.partition, _batch_of(parcel.events)))
        request = Produce(batches, timeout_ms=_REQUEST_TIMEOUT_MS)
        try:
            answer = await self._client.send(node, request)
        except (KafkaError, OSError, TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_stopping():
                raise
            self._fail(parcels, type(error).__name__, then)
            return
        self._read(parcels, answer, then)

    def _read(self, parcels: dict[tuple[str, int], Parcel], answer: Sequence[Answered], then: Arrived) -> None:
        for topic, partition, code in answer:
            parcel = parcels.pop((topic, partition), None)
            if parcel is None:
                continue
            parcel.is_acked = code == 0
            if code:
                self._refused(parcel, for_code(code).__name__)
            then(parcel)
        self._fail(parcels, "NoAnswer", then)

    def _refused(self, parcel: Parcel, reason: str) -> None:
        parcel.error = reason
        if not parcel.is_refused:
            # The partition is left alone until the next probe has asked where it is.
            self._leaders[parcel.topic, parcel.partition] = -1

    def _fail(self, parcels: dict[tuple[str, int], Parcel], reason: str, then: Arrived) -> None:
        for parcel in parcels.values():
            parcel.error = reason
            parcel.link_failed = True
            then(parcel)

    async def close(self) -> None:
        """Give it up: what was not acknowledged may have arrived all the same."""
        for task in list(self._tasks):
            task.cancel()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._client.close()
        except (KafkaError, OSError, TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_stopping():
                raise
            log.warning("gateway.kafka_link_close_failed", reason=type(error).__name__)


def _batch_of(events: Sequence[Outgoing]) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=_PLAIN,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 30,
    )
    append = builder.append
    for offset, event in enumerate(events):
        append(offset, None, event.key, event.value, [])
    built: bytes = builder.build()
    return built

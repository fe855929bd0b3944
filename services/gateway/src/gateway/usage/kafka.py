"""The gateway's own way into Kafka: whole batches per partition, acknowledged by all in-sync replicas.

aiokafka's producer costs a future per record, keeps one request per broker in flight, and can hang for ever or be
poisoned by a lost sequence (aiokafka#1101, #1017). This asks its client for metadata only; batches go over connections
of our own. There is no sequence to lose, as events carry ids; and a `KafkaLink` that does not answer is thrown away
whole, by whoever watches it.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

from gateway.usage.outgoing import Outgoing
from gateway.usage.produce import Batches, Produce
from gateway.usage.produce_connection import Answer, ProduceConnection
from kit import logging
from kit.tasks import is_stopping

log = logging.get(__name__)

T = TypeVar("T")

CONNECT_TIMEOUT_S: Final = 5.0
PROBE_TIMEOUT_S: Final = 2.0
_METADATA_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 5.0
_REQUEST_TIMEOUT_MS: Final = 5000
# What Kafka adds to an event, at most.
_OVERHEAD_BYTES: Final = 100
# Compressing costs more CPU than all the rest; the topic's own `compression.type` saves the broker's disk.
_PLAIN: Final = 0
_MOST_BATCH_BYTES: Final = 900_000
# These say that the record itself will never be taken.
_FINAL: Final = frozenset({"MessageSizeTooLargeError", "RecordListTooLargeError", "InvalidRecordError"})


class LinkError(Exception):
    """Kafka cannot be reached, or does not answer."""


class Parcel:
    """Events for one partition that travel, and are acknowledged, together."""

    __slots__ = ("error", "events", "is_acked", "is_over", "link_failed", "partition", "size", "topic")

    def __init__(self, topic: str, partition: int, events: list[Outgoing]) -> None:
        self.topic = topic
        self.partition = partition
        self.events = events
        self.size = 0
        self.is_acked = False
        self.is_over = False
        self.link_failed = False
        self.error: str | None = None

    @property
    def is_refused(self) -> bool:
        """Whether sending the same again is of no use."""
        return self.error in _FINAL


Place = tuple[str, int]
Arrived = Callable[[Parcel], None]


class KafkaLink:
    """One link to the cluster, from `open` until somebody gives it up; there is no way back."""

    def __init__(self, bootstrap: str, *, client_id: str, topics: Sequence[str]) -> None:
        self._client = AIOKafkaClient(
            bootstrap_servers=bootstrap,
            client_id=client_id,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            metadata_max_age_ms=int(_METADATA_S * 1000),
            retry_backoff_ms=250,
        )
        self._client_id = client_id
        self._topics = tuple(topics)
        self._addresses: dict[int, tuple[str, int]] = {}
        self._connections: dict[int, tuple[tuple[str, int], ProduceConnection]] = {}
        self._answering: dict[int, ProduceConnection] = {}
        self._partitions: dict[str, int] = {}
        self._leaders: dict[Place, int] = {}
        self._learned_s = float("-inf")
        self._is_closed = False

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
        greeted = await asyncio.gather(*(self._bounded(self._greet(leader)) for leader in leaders))
        self._answering = {
            leader: connection for leader, connection in zip(leaders, greeted, strict=True) if connection is not None
        }
        if not self._answering:
            raise LinkError("no leader answers")

    async def _bounded(self, asking: Coroutine[Any, Any, T]) -> T | None:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                return await asking
        except (KafkaError, OSError, TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_stopping():
                raise
            return None

    async def _greet(self, node: int) -> ProduceConnection:
        connection = await self._connection_to(node)
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def then(answer: Answer) -> None:
            if not answered.done():
                answered.set_result(answer)

        connection.send(Produce({}, timeout_ms=_REQUEST_TIMEOUT_MS), then)
        if await answered is None:
            raise ConnectionResetError
        return connection

    async def _connection_to(self, node: int) -> ProduceConnection:
        """The one that stands, else a new one."""
        address = self._addresses[node]
        known = self._connections.get(node)
        if known is not None:
            if known[0] == address and known[1].is_up:
                return known[1]
            known[1].close()
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: ProduceConnection(self._client_id), *address
        )
        self._connections[node] = address, connection
        if self._is_closed:
            connection.close()
        return connection

    async def _learn(self) -> bool:
        cluster = await self._client.fetch_all_metadata()
        for topic in self._topics:
            partitions = cluster.partitions_for_topic(topic) or set()
            self._partitions[topic] = len(partitions)
            for partition in partitions:
                leader = cluster.leader_for_partition(TopicPartition(topic, partition))
                broker = None if leader is None else cluster.broker_metadata(leader)
                self._leaders[topic, partition] = -1 if broker is None else leader
                if broker is not None:
                    self._addresses[leader] = broker.host, broker.port
        self._learned_s = time.monotonic()
        return True

    def send(self, events: Sequence[Outgoing], then: Arrived) -> list[Parcel]:
        """Send at once; `then` is called once per parcel, acknowledged or not, unless the link is given up before."""
        parcels = self._parcels(events)
        # A request holds at most one batch per partition.
        rounds: dict[tuple[int, int], dict[Place, Parcel]] = {}
        for parcel in parcels:
            place = parcel.topic, parcel.partition
            node = self._leaders.get(place, -1)
            if node not in self._answering:
                parcel.error = "NoLeader"
                asyncio.get_running_loop().call_soon(then, parcel)
                continue
            turn = 0
            while place in (one := rounds.setdefault((node, turn), {})):
                turn += 1
            one[place] = parcel
        for (node, _), one in rounds.items():
            self._produce(node, one, then)
        return parcels

    def _parcels(self, events: Sequence[Outgoing]) -> list[Parcel]:
        sorted_out: dict[Place, Parcel] = {}
        parcels: list[Parcel] = []
        for event in events:
            topic, size = event.topic, len(event.value) + _OVERHEAD_BYTES
            place = topic, event.key_hash % (self._partitions.get(topic) or 1)
            parcel = sorted_out.get(place)
            if parcel is None or parcel.size + size > _MOST_BATCH_BYTES:
                parcel = sorted_out[place] = Parcel(topic, place[1], [])
                parcels.append(parcel)
            parcel.size += size
            parcel.events.append(event)
        return parcels

    def _produce(self, node: int, parcels: dict[Place, Parcel], then: Arrived) -> None:
        batches: Batches = {}
        for parcel in parcels.values():
            batch = parcel.partition, _batch_of(parcel.events)
            if parcel.topic in batches:
                batches[parcel.topic].append(batch)
            else:
                batches[parcel.topic] = [batch]
        request = Produce(batches, timeout_ms=_REQUEST_TIMEOUT_MS)
        self._answering[node].send(request, partial(self._read, parcels, then))

    def _read(self, parcels: dict[Place, Parcel], then: Arrived, answer: Answer) -> None:
        for topic, partition, code in answer or ():
            parcel = parcels.pop((topic, partition), None)
            if parcel is None:
                continue
            parcel.is_acked = code == 0
            if code:
                self._refused(parcel, for_code(code).__name__)
            then(parcel)
        for parcel in parcels.values():
            parcel.error = "KafkaConnectionError" if answer is None else "NoAnswer"
            parcel.link_failed = True
            then(parcel)

    def _refused(self, parcel: Parcel, reason: str) -> None:
        parcel.error = reason
        if not parcel.is_refused:
            # The partition is left alone until the next probe has asked where it is.
            self._leaders[parcel.topic, parcel.partition] = -1

    async def close(self) -> None:
        """Give it up: what was not acknowledged may have arrived all the same."""
        self._is_closed = True
        for _, connection in self._connections.values():
            connection.close()
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

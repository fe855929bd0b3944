"""Writing to Kafka: acknowledged by all in-sync replicas, within a bound, or an error."""

import asyncio
import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from kit import logging
from kit.packing import pack
from kit.partitions import key_hash
from kit.tasks import is_stopping

log = logging.get(__name__)

STOP_TIMEOUT_S: Final = 5.0
MAX_BATCH_BYTES: Final = 1 << 18
MAX_RECORD_BYTES: Final = 4 << 20
MANY: Final = 100
"""From so many records on batches are worth making here; fewer wait a moment for what others send meanwhile."""

_hashed = lru_cache(maxsize=100_000)(key_hash)


def partition_of(key: bytes | None, partitions: Sequence[int], available: Sequence[int]) -> int:
    """As aiokafka does it, with hashes remembered."""
    if key is None:
        return random.choice(available or partitions)  # noqa: S311  # spreading load
    return partitions[_hashed(key) % len(partitions)]


class ProducerError(Exception):
    """Kafka did not acknowledge in time; the record may arrive all the same (its id makes that harmless)."""


class Producer:
    """One connection to Kafka for sending.

    Not idempotent on purpose: aiokafka's idempotent producer neither times out nor recovers from a lost sequence
    (aiokafka#1101, #1017), and every consumer dedupes by event id anyway.
    """

    def __init__(self, bootstrap: str, *, client_id: str, timeout_s: float = 5.0, linger_ms: int = 2) -> None:
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._timeout_s = timeout_s
        self._linger_ms = linger_ms
        self._kafka: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Connect; raises `ProducerError` when Kafka is away. Sending connects by itself too."""
        async with self._starting:
            if self._kafka is not None:
                return
            kafka = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap,
                client_id=self._client_id,
                acks="all",
                linger_ms=self._linger_ms,
                max_batch_size=MAX_BATCH_BYTES,
                max_request_size=MAX_RECORD_BYTES,
                # A quarter of the time and half the bytes of lz4, which aiokafka has at its slowest level only.
                compression_type="zstd",
                request_timeout_ms=int(self._timeout_s * 1000),
                metadata_max_age_ms=30_000,
                retry_backoff_ms=250,
                partitioner=partition_of,
            )
            try:
                async with asyncio.timeout(self._timeout_s):
                    await kafka.start()
            except (KafkaError, OSError, TimeoutError, asyncio.CancelledError) as error:
                await _stopped(kafka)
                if isinstance(error, asyncio.CancelledError) and is_stopping():
                    raise
                raise ProducerError(f"Kafka is not reachable: {type(error).__name__}") from error
            self._kafka = kafka

    async def send(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        """Send one record; returns when all in-sync replicas have it."""
        await self.send_all([(topic, key, value)])

    async def send_all(self, records: Sequence[tuple[str, bytes | None, bytes | None]]) -> None:
        """Send records; per partition they arrive in this order. Raises when any is not acknowledged in time."""
        if self._kafka is None:
            await self.start()
        assert self._kafka is not None
        try:
            async with asyncio.timeout(self._timeout_s):
                if len(records) < MANY:
                    acknowledged = [await self._kafka.send(topic, value, key=key) for topic, key, value in records]
                else:
                    batches = await pack(self._kafka, records, most_bytes=MAX_RECORD_BYTES)
                    acknowledged = [
                        await self._kafka.send_batch(batch, topic, partition=partition)
                        for (topic, partition), batch in batches
                    ]
                await asyncio.gather(*acknowledged)
        except (KafkaError, OSError, TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_stopping():
                raise
            raise ProducerError(f"Kafka did not acknowledge: {type(error).__name__}") from error

    async def ping(self) -> None:
        """Raise when no broker answers a metadata request."""
        if self._kafka is None:
            await self.start()
            return
        try:
            async with asyncio.timeout(2.0):
                await self._kafka.client.fetch_all_metadata()
        except (KafkaError, OSError, TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_stopping():
                raise
            raise ProducerError(f"Kafka does not answer: {type(error).__name__}") from error

    async def stop(self) -> None:
        if self._kafka is not None:
            await _stopped(self._kafka)
            self._kafka = None


async def _stopped(kafka: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await kafka.stop()
    except (KafkaError, OSError, TimeoutError, asyncio.CancelledError) as error:
        if isinstance(error, asyncio.CancelledError) and is_stopping():
            raise
        log.warning("kit.producer_stop_failed", reason=type(error).__name__)

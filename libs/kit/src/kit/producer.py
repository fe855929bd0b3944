"""Writing to Kafka: acknowledged by all in-sync replicas, within a bound, or an error."""

import asyncio
import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from kit import logging
from kit.tasks import is_stopping

log = logging.get(__name__)

STOP_TIMEOUT_S: Final = 5.0


_hashed = lru_cache(maxsize=100_000)(murmur2)


def partition_of(key: bytes | None, partitions: Sequence[int], available: Sequence[int]) -> int:
    """As aiokafka does it, with hashes remembered: each costs as much as all the rest of sending a record."""
    if key is None:
        return random.choice(available or partitions)  # noqa: S311  # spreading load
    place: int = (_hashed(key) & 0x7FFFFFFF) % len(partitions)
    return partitions[place]


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
                max_batch_size=1 << 18,
                max_request_size=4 << 20,
                compression_type="lz4",
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
                acknowledged = [await self._kafka.send(topic, value, key=key) for topic, key, value in records]
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

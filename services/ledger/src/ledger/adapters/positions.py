"""How far the ledger has read of the usage topic, whichever replica reads it."""

import asyncio
from contextlib import suppress
from typing import Final
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from contracts.gateway import UsageRecorded
from kit.partitions import key_hash
from ledger.errors import BehindError

WAIT_S: Final = 3.0
POLL_S: Final = 0.03
CALL_TIMEOUT_S: Final = 2.0


class UsagePositions:
    """Compares a partition's end with what the group has committed; offsets are committed right after the books."""

    def __init__(self, bootstrap: str, *, group: str) -> None:
        self._bootstrap = bootstrap
        self._group = group
        self._kafka: AIOKafkaConsumer | None = None
        self._partitions = 0
        self._lock = asyncio.Lock()

    async def wait_applied(self, account_id: UUID) -> None:
        """Return when all that was written for the account before this call is applied; else `BehindError`."""
        try:
            async with asyncio.timeout(WAIT_S):
                kafka = await self._connected()
                partition = TopicPartition(UsageRecorded.type, self._partition_of(account_id))
                end = (await kafka.end_offsets([partition]))[partition]
                while await self._applied(kafka, partition) < end:  # noqa: ASYNC110  # another process moves it
                    await asyncio.sleep(POLL_S)
        except (KafkaError, OSError, TimeoutError) as error:
            await self._forget(error)
            raise BehindError("The ledger is still reading what was used; try again.", retry_after_s=1) from error

    async def close(self) -> None:
        kafka, self._kafka = self._kafka, None
        if kafka is not None:
            with suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    await kafka.stop()

    def _partition_of(self, account_id: UUID) -> int:
        return key_hash(str(account_id).encode()) % self._partitions

    @staticmethod
    async def _applied(kafka: AIOKafkaConsumer, partition: TopicPartition) -> int:
        committed = await kafka.committed(partition)
        if committed is not None:
            return int(committed)
        return int((await kafka.beginning_offsets([partition]))[partition])

    async def _connected(self) -> AIOKafkaConsumer:
        async with self._lock:
            if self._kafka is None:
                # With partitions assigned by hand the consumer does not join the group; it only asks for its offsets.
                kafka = AIOKafkaConsumer(
                    bootstrap_servers=self._bootstrap,
                    client_id=f"{self._group}-positions",
                    group_id=self._group,
                    enable_auto_commit=False,
                    request_timeout_ms=int(CALL_TIMEOUT_S * 1000),
                )
                await kafka.start()
                await self._assign(kafka)
                self._kafka = kafka
            return self._kafka

    async def _assign(self, kafka: AIOKafkaConsumer) -> None:
        metadata = await kafka._client.fetch_all_metadata()  # noqa: SLF001  # no public way before a subscription
        numbers = metadata.partitions_for_topic(UsageRecorded.type)
        if not numbers:
            await kafka.stop()
            raise KafkaError(f"topic {UsageRecorded.type} does not exist yet")
        self._partitions = len(numbers)
        partitions = [TopicPartition(UsageRecorded.type, number) for number in sorted(numbers)]
        kafka.assign(partitions)
        # Only offsets are wanted, never records.
        kafka.pause(*partitions)

    async def _forget(self, error: Exception) -> None:
        if not isinstance(error, TimeoutError):
            await self.close()

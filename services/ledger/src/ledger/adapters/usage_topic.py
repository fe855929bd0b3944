"""The topic of usage, read once more for calls that should be in the books and are not."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.gateway import UsageRecorded
from kit.received import StoredRecord

TOPIC: Final = UsageRecorded.type
POLL_MS: Final = 500
TIMEOUT_MS: Final = 10_000
SLACK: Final = timedelta(minutes=5)
"""Clocks of gateways and brokers differ."""


class UsageTopic:
    """Reads beside the consumer group, whose place stays where it is."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    async def find(self, call_ids: Collection[UUID], *, since: datetime) -> list[StoredRecord]:
        """The records of these calls that are kept still; raises `KafkaError` or `OSError`."""
        wanted = {str(call_id).encode() for call_id in call_ids}
        kafka = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, enable_auto_commit=False, group_id=None, request_timeout_ms=TIMEOUT_MS
        )
        await kafka.start()
        try:
            ends = await _seek(kafka, since - SLACK)
            found: list[StoredRecord] = []
            while any([await kafka.position(partition) < end for partition, end in ends.items()]):
                for records in (await kafka.getmany(timeout_ms=POLL_MS)).values():
                    # Few of them are wanted: an id stands in its record as it is written.
                    likely = (one for one in records if one.value and any(name in one.value for name in wanted))
                    found += [_stored(record) for record in likely if _id_of(record.value) in wanted]
            return found
        finally:
            await kafka.stop()


async def _seek(kafka: AIOKafkaConsumer, since: datetime) -> dict[TopicPartition, int]:
    # What a consumer knows of partitions it has read of topics that it is assigned.
    kafka.assign([TopicPartition(TOPIC, 0)])
    await kafka.end_offsets([TopicPartition(TOPIC, 0)])
    partitions = [TopicPartition(TOPIC, number) for number in kafka.partitions_for_topic(TOPIC) or ()]
    kafka.assign(partitions)
    ends: dict[TopicPartition, int] = await kafka.end_offsets(partitions)
    starts = await kafka.offsets_for_times(dict.fromkeys(partitions, int(since.timestamp() * 1000)))
    for partition in partitions:
        start = starts.get(partition)
        kafka.seek(partition, start.offset if start else ends[partition])
    return ends


def _stored(record: Any) -> StoredRecord:
    return StoredRecord(record.topic, record.partition, record.offset, record.key, record.value)


def _id_of(value: bytes) -> bytes:
    try:
        return str(orjson.loads(value)["id"]).encode()
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return b""

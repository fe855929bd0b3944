"""Many records at once go as batches that are made here: what arrives is what single ones would have been."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.partitioner import murmur2

from contracts.auth import AccountActivated, UserChanged
from kit.producer import MANY, MAX_BATCH_BYTES, MAX_RECORD_BYTES, Producer, ProducerError
from sandbox.stack import Stack
from sandbox.stack.topics import end_offsets

pytestmark = pytest.mark.long

Record = tuple[str, bytes | None, bytes | None]
TOPICS = (AccountActivated.type, UserChanged.type)


async def arrived(stack: Stack, ends: dict[TopicPartition, int]) -> dict[TopicPartition, list[Record]]:
    """What was written behind these offsets."""
    now = await end_offsets(stack.kafka_bootstrap, set(TOPICS))
    found: dict[TopicPartition, list[Record]] = defaultdict(list)
    async with AIOKafkaConsumer(bootstrap_servers=stack.kafka_bootstrap, enable_auto_commit=False) as consumer:
        consumer.assign(list(now))
        for place in now:
            consumer.seek(place, ends[place])
        while any([await consumer.position(place) < end for place, end in now.items()]):
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                found[place] += [(place.topic, record.key, record.value) for record in records]
    return found


def expected(records: Sequence[Record], ends: dict[TopicPartition, int]) -> dict[TopicPartition, list[Record]]:
    """By the partitions that aiokafka chooses."""
    found: dict[TopicPartition, list[Record]] = defaultdict(list)
    for record in records:
        topic, key, _ = record
        count = sum(place.topic == topic for place in ends)
        found[TopicPartition(topic, (murmur2(key) & 0x7FFFFFFF) % count)].append(record)
    return found


async def test_records_of_many_keys_keep_their_partitions_and_their_order(stack: Stack, producer: Producer) -> None:
    ends = await end_offsets(stack.kafka_bootstrap, set(TOPICS))
    keys = [str(uuid4()).encode() for _ in range(20)] + [b"", b"three"]
    records: list[Record] = [
        (TOPICS[number % 3 == 0], keys[number % len(keys)], b"%d" % number if number % 5 else None)
        for number in range(5 * MANY)
    ]
    # More than a batch holds, and a record that alone is larger than one.
    records += [(TOPICS[0], keys[0], bytes([number]) * (MAX_BATCH_BYTES // 3)) for number in range(10)]
    records += [(TOPICS[0], keys[0], b"large" * (MAX_BATCH_BYTES // 3)), (TOPICS[0], keys[0], b"last")]

    await producer.send_all(records)

    assert await arrived(stack, ends) == expected(records, ends)


async def test_records_without_a_key_go_anywhere(stack: Stack, producer: Producer) -> None:
    ends = await end_offsets(stack.kafka_bootstrap, set(TOPICS))
    records: list[Record] = [(TOPICS[0], None, b"%d" % number) for number in range(MANY)]

    await producer.send_all(records)

    found = [record for those in (await arrived(stack, ends)).values() for record in those]
    assert sorted(found) == sorted(records)


async def test_a_record_too_large_for_kafka_is_told_of_and_nothing_is_sent(stack: Stack, producer: Producer) -> None:
    ends = await end_offsets(stack.kafka_bootstrap, set(TOPICS))
    records: list[Record] = [(TOPICS[0], b"k", b"v")] * MANY

    with pytest.raises(ProducerError, match="MessageSizeTooLargeError"):
        await producer.send_all([*records, (TOPICS[0], b"k", bytes(MAX_RECORD_BYTES + 1))])

    assert await end_offsets(stack.kafka_bootstrap, set(TOPICS)) == ends

"""Many records as Kafka's batches: one future for each of those, where the client's own way has one for each record."""

import random
from collections.abc import Sequence
from itertools import zip_longest

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from kit.partitions import key_hashes

Record = tuple[str, bytes | None, bytes | None]
Place = tuple[str, int]


async def pack(
    kafka: AIOKafkaProducer, records: Sequence[Record], *, most_bytes: int
) -> list[tuple[Place, BatchBuilder]]:
    """Batches in the order in which they are to be sent: per partition in that of the records.

    The first of each partition comes before any second one, which has to wait until that is under way.
    """
    batches: dict[Place, list[BatchBuilder]] = {}
    for place, (_, key, value) in zip(await _places(kafka, records), records, strict=True):
        begun = batches.get(place)
        if begun is None:
            begun = batches[place] = [kafka.create_batch()]
        appended = begun[-1].append(timestamp=None, key=key, value=value)
        if appended is None:
            begun.append(kafka.create_batch())
            # An empty batch takes whatever comes.
            appended = begun[-1].append(timestamp=None, key=key, value=value)
        if appended.size > most_bytes:
            raise MessageSizeTooLargeError(f"a record of {appended.size} bytes")
    for begun in batches.values():
        # What is closed is sent at once, without waiting for more.
        begun[-1].close()
    turns = zip_longest(*batches.values())
    return [(place, batch) for turn in turns for place, batch in zip(batches, turn, strict=True) if batch is not None]


async def _places(kafka: AIOKafkaProducer, records: Sequence[Record]) -> list[Place]:
    """Where each record goes; one without a key goes anywhere."""
    partitions = {topic: sorted(await kafka.partitions_for(topic)) for topic in {topic for topic, _, _ in records}}
    hashes = iter(key_hashes([key for _, key, _ in records if key is not None]))
    places: list[Place] = []
    for topic, key, _ in records:
        among = partitions[topic]
        places.append((topic, random.choice(among) if key is None else among[next(hashes) % len(among)]))  # noqa: S311  # spreading load
    return places

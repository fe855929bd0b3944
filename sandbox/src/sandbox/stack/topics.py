"""Makes the topics that the contracts declare."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from contracts.topics import TOPICS
from sandbox.stack.errors import StackError

REQUEST_TIMEOUT_MS = 20_000
VISIBLE_TIMEOUT_S = 15.0


async def create_topics(bootstrap: str) -> list[str]:
    """Make what is missing and return when all can be written; the names made."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS)
    await admin.start()
    try:
        known = set(await admin.list_topics())
        missing = [
            NewTopic(topic.name, topic.partitions, 1, topic_configs=topic.config())
            for topic in TOPICS
            if topic.name not in known
        ]
        if missing:
            _check(await admin.create_topics(missing, timeout_ms=REQUEST_TIMEOUT_MS))
        names = {topic.name for topic in TOPICS}
        await _wait_for_leaders(admin, names)
    finally:
        await admin.close()
    if missing:
        with _retries_unlogged():
            await end_offsets(bootstrap, names)  # metadata shows a leader before the leader itself knows
    return [topic.name for topic in missing]


async def end_offsets(bootstrap: str, topics: set[str] | None = None) -> dict[TopicPartition, int]:
    """Where each partition of the topics (of all but Kafka's own, when none are given) ends now."""
    partitions = await partitions_of(bootstrap, topics)
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False) as consumer:
        # Unassigned, aiokafka learns one unknown topic in each retry of 100 ms.
        consumer.assign(partitions)
        consumer.pause(*partitions)
        async with asyncio.timeout(VISIBLE_TIMEOUT_S):
            ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    return ends


async def partitions_of(bootstrap: str, topics: set[str] | None = None) -> list[TopicPartition]:
    """In order; topics that do not exist have none."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS)
    await admin.start()
    try:
        names = topics or {name for name in await admin.list_topics() if not name.startswith("__")}
        described = await admin.describe_topics(sorted(names))
    finally:
        await admin.close()
    return [
        TopicPartition(topic["topic"], number)
        for topic in described
        for number in sorted(partition["partition"] for partition in topic["partitions"])
    ]


@contextmanager
def _retries_unlogged() -> Iterator[None]:
    """That a new partition's leader does not know itself yet is no error to show."""
    fetcher = logging.getLogger("aiokafka.consumer.fetcher")
    level = fetcher.level
    fetcher.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        fetcher.setLevel(level)


def _check(response: object) -> None:
    for name, code, *rest in response.topic_errors:  # type: ignore[attr-defined]  # aiokafka has no types for it
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise StackError(f"Kafka's topic {name} could not be made: {error.__name__} {' '.join(map(str, rest))}")


async def _wait_for_leaders(admin: AIOKafkaAdminClient, names: set[str]) -> None:
    async with asyncio.timeout(VISIBLE_TIMEOUT_S):
        while True:
            if await _all_led(admin, names):
                return
            await asyncio.sleep(0.05)


async def _all_led(admin: AIOKafkaAdminClient, names: set[str]) -> bool:
    try:
        described = await admin.describe_topics(sorted(names))
    except KafkaError:
        return False
    return all(
        topic["error_code"] == 0 and all(partition["leader"] >= 0 for partition in topic["partitions"])
        for topic in described
    )

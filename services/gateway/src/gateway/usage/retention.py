"""Whether Kafka keeps events for longer than the spool may have kept them before (money.md 18)."""

import asyncio
from collections.abc import Mapping
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from contracts.topics import EVENT_TOPICS
from kit import logging
from kit.errors import DomainError

log = logging.get(__name__)

MOST_SPOOL_AGE_S: Final = 7 * 86_400.0
TIMEOUT_S: Final = 2.5
FACTS: Final = tuple(topic.name for topic in EVENT_TOPICS if "gateway" in topic.producers and not topic.compacted)
_READ: Final = ("cleanup.policy", "retention.ms", "message.timestamp.type")


class SpoolRetentionError(DomainError):
    """A topic would delete events that were spooled for as long as they may be."""

    code = "retention_too_short"


async def refuse_short_retention(bootstrap: str, *, most_age_s: float = MOST_SPOOL_AGE_S) -> None:
    """Raise `SpoolRetentionError` before anything is sent; a Kafka that is away is not asked again."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            configured = await _read(bootstrap)
    except (KafkaError, OSError, TimeoutError) as error:
        log.warning("gateway.retention_not_checked", reason=type(error).__name__)
        return
    for topic, config in configured.items():
        check_retention(topic, config, most_age_s=most_age_s)


def check_retention(topic: str, config: Mapping[str, str], *, most_age_s: float) -> None:
    """Raise `SpoolRetentionError`, naming the topic and what is wrong with it."""
    if config["cleanup.policy"] != "delete":
        raise SpoolRetentionError(f"{topic} is compacted: it would keep one event of each account.")
    if config["message.timestamp.type"] != "LogAppendTime":
        raise SpoolRetentionError(f"{topic} counts from an event's own time: what was spooled is deleted too early.")
    retention_ms = int(config["retention.ms"])
    if 0 <= retention_ms < most_age_s * 1000:
        raise SpoolRetentionError(
            f"{topic} keeps events for {retention_ms} ms, the spool for up to {most_age_s:.0f} s: raise retention.ms."
        )


async def _read(bootstrap: str) -> dict[str, dict[str, str]]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=int(TIMEOUT_S * 1000))
    try:
        await admin.start()
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic, configs=dict.fromkeys(_READ)) for topic in FACTS]
        answers = await admin.describe_configs(resources)
    finally:
        await admin.close()
    found: dict[str, dict[str, str]] = {}
    for code, _, _, topic, entries in (resource for answer in answers for resource in answer.resources):
        if code:
            raise for_code(code)(topic)
        found[topic] = {entry[0]: entry[1] for entry in entries}
    return found

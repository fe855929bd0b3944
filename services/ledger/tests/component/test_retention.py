"""Charges are kept for longer than Kafka can bring a call again, or the ledger does not start (money.md 18)."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from contracts.topics import BY_NAME, DAY_MS
from ledger.adapters.retention import UsageRetention, check_retention, most_days
from ledger.errors import RetentionError

TOPIC = "gateway.usage-recorded.v1"
DLQ = f"{TOPIC}.dlq"

Configure = Callable[[str, dict[str, str]], Awaitable[None]]


@pytest.fixture
async def configure(prepared: Any) -> AsyncIterator[Configure]:
    """Sets what a topic says beside the contract; at the end the contract holds again."""
    changed: set[str] = set()
    admin = AIOKafkaAdminClient(bootstrap_servers=prepared.stack.kafka_bootstrap)
    await admin.start()

    async def alter(topic: str, config: dict[str, str]) -> None:
        changed.add(topic)
        wanted = {**BY_NAME[topic].config(), **config}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=wanted)])

    yield alter
    for topic in list(changed):
        await alter(topic, {})
    await admin.close()


def test_a_record_may_lie_in_one_topic_after_the_other() -> None:
    check_retention({TOPIC: 37, DLQ: 3613}, books_days=3650)

    with pytest.raises(RetentionError, match=f"{TOPIC} 37 days, {DLQ} 3614 days; together they may take 3650 days"):
        check_retention({TOPIC: 37, DLQ: 3614}, books_days=3650)
    with pytest.raises(RetentionError, match=f"{DLQ} without end"):
        check_retention({TOPIC: 37, DLQ: None}, books_days=3650)


@pytest.mark.parametrize(
    ("policy", "retention_ms", "days"),
    [
        ("delete", 30 * DAY_MS, 37),
        ("delete", 30 * DAY_MS + 1, 38),
        ("delete", -1, None),
        ("compact", DAY_MS, None),
        ("compact,delete", DAY_MS, None),
    ],
)
def test_a_record_waits_for_its_segment_too(policy: str, retention_ms: int, days: int | None) -> None:
    config = {"cleanup.policy": policy, "retention.ms": str(retention_ms), "segment.ms": str(7 * DAY_MS)}

    assert most_days(config) == days


async def test_the_declared_topics_are_sound_and_kafka_is_asked_once(prepared: Any, configure: Configure) -> None:
    retention = UsageRetention(prepared.stack.kafka_bootstrap, books_years=10)
    await retention.ready()

    await configure(DLQ, {"retention.ms": "-1"})

    await retention.ready()


@pytest.mark.parametrize(("topic", "years"), [(TOPIC, 10), (DLQ, 10)])
async def test_a_topic_that_keeps_too_long_is_named_with_its_figure(
    prepared: Any, configure: Configure, topic: str, years: int
) -> None:
    await configure(topic, {"retention.ms": str(4000 * DAY_MS)})
    retention = UsageRetention(prepared.stack.kafka_bootstrap, books_years=years)

    for check in (retention.ready, retention.refuse_at_start):
        with pytest.raises(RetentionError, match=f"{topic} 4007 days"):
            await check()


async def test_without_kafka_the_start_goes_on_and_readiness_waits() -> None:
    retention = UsageRetention("127.0.0.1:1", books_years=10)

    await retention.refuse_at_start()

    with pytest.raises((KafkaError, TimeoutError)):
        await retention.ready()


async def test_a_ledger_whose_dlq_outlives_its_books_refuses_to_start(prepared: Any, configure: Configure) -> None:
    await configure(DLQ, {"retention.ms": "-1"})
    command = [sys.executable, "-m", "ledger", "serve"]
    env = {**os.environ, **prepared.environment(8082)}

    refused = await asyncio.to_thread(subprocess.run, command, env=env, capture_output=True, text=True, timeout=60)

    assert refused.returncode != 0
    assert f"{DLQ} without end" in refused.stdout + refused.stderr

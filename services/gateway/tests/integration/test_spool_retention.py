"""What was spooled for as long as it may be is not deleted by Kafka the moment it arrives (money.md 18)."""

import pytest

from gateway.usage.retention import SpoolRetentionError, check_retention, refuse_short_retention

SOUND = {"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime", "retention.ms": "604800000"}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"retention.ms": "604799999"}, "retention.ms"),
        ({"message.timestamp.type": "CreateTime"}, "own time"),
        ({"cleanup.policy": "compact"}, "compacted"),
    ],
)
def test_a_topic_that_would_lose_spooled_events_is_refused_by_name(change, word):
    with pytest.raises(SpoolRetentionError, match=f"gateway.usage.*{word}"):
        check_retention("gateway.usage-recorded.v1", SOUND | change, most_age_s=7 * 86_400)


@pytest.mark.parametrize("retention_ms", ["604800000", "-1"])
def test_a_topic_that_keeps_them_is_not(retention_ms):
    check_retention("t", SOUND | {"retention.ms": retention_ms}, most_age_s=7 * 86_400)


async def test_the_declared_topics_are_sound_and_a_kafka_that_is_away_is_no_reason_not_to_start(stack, topics):
    await refuse_short_retention(stack.kafka_bootstrap)
    await refuse_short_retention("127.0.0.1:1")
    with pytest.raises(SpoolRetentionError):
        await refuse_short_retention(stack.kafka_bootstrap, most_age_s=10**9)

"""The usage events that were set aside, read from their DLQ as it stands now."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.gateway import UsageRecorded
from kit import dead_letters
from kit.received import StoredRecord

TOPIC: Final = f"{UsageRecorded.type}.dlq"
POLL_MS: Final = 500
TIMEOUT_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record of the DLQ as far as it can be read; `record` is the original one."""

    record: StoredRecord
    reason: str
    call_id: UUID | None
    gateway_instance: str | None
    admitted_at: datetime | None


class DeadLetters:
    """Reads the whole DLQ: it is small, or somebody has been told."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    async def read(self) -> list[DeadLetter]:
        """All that was set aside and is kept still; raises `KafkaError` or `OSError`."""
        kafka = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            enable_auto_commit=False,
            group_id=None,
            request_timeout_ms=TIMEOUT_MS,
        )
        await kafka.start()
        try:
            partitions = [TopicPartition(TOPIC, 0)]
            kafka.assign(partitions)
            await kafka.seek_to_beginning(*partitions)
            ends = await kafka.end_offsets(partitions)
            found: list[DeadLetter] = []
            while any([await kafka.position(partition) < end for partition, end in ends.items()]):
                for records in (await kafka.getmany(timeout_ms=POLL_MS)).values():
                    found += [letter for record in records if (letter := dead_letter(record.value)) is not None]
            return found
        finally:
            await kafka.stop()


def dead_letter(value: bytes | None) -> DeadLetter | None:
    """One DLQ record; None for what is no record of ours."""
    try:
        aside = orjson.loads(value or b"")
        topic, key, content = dead_letters.original(value or b"")
        origin = aside["origin"]
        record = StoredRecord(topic, int(origin["partition"]), int(origin["offset"]), key, content)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
    envelope = _json(content)
    data = envelope.get("data")
    fields: dict[str, Any] = data if isinstance(data, dict) else {}
    instance = fields.get("gateway_instance")
    return DeadLetter(
        record=record,
        reason=str(aside.get("reason", "")),
        call_id=_uuid(envelope.get("id")),
        gateway_instance=instance if isinstance(instance, str) else None,
        admitted_at=_instant(fields.get("admitted_at")),
    )


def _json(content: bytes | None) -> dict[str, Any]:
    try:
        envelope = orjson.loads(content or b"")
    except orjson.JSONDecodeError:
        return {}
    return envelope if isinstance(envelope, dict) else {}


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None


def _instant(value: object) -> datetime | None:
    try:
        instant = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return instant if instant.tzinfo else None

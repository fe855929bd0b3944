"""How long Kafka may keep what is booked: no longer than the charges that tell a repetition (money.md 18)."""

import asyncio
from collections.abc import Mapping
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from contracts.gateway import UsageRecorded
from contracts.topics import DAY_MS
from kit import logging
from ledger.errors import RetentionError

log = logging.get(__name__)

TOPICS: Final = (UsageRecorded.type, f"{UsageRecorded.type}.dlq")
DAYS_PER_YEAR: Final = 365
TIMEOUT_S: Final = 2.5
_READ: Final = ("cleanup.policy", "retention.ms", "segment.ms")


class UsageRetention:
    """Compares what the topics of usage really are configured to keep with how long charges are kept."""

    def __init__(self, bootstrap: str, *, books_years: int) -> None:
        self._bootstrap = bootstrap
        self._books_days = books_years * DAYS_PER_YEAR
        self._is_sound = False

    async def refuse_at_start(self) -> None:
        """Raise `RetentionError` before anything is booked; a Kafka that is away leaves it to readiness."""
        try:
            await self.ready()
        except RetentionError as error:
            log.error("ledger.retention_too_long", reason=str(error))  # noqa: TRY400  # the trace says no more
            raise
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("ledger.retention_not_checked", reason=type(error).__name__)

    async def ready(self) -> None:
        """Raise `RetentionError`, or what kept Kafka from answering; once sound, it is not asked again."""
        if not self._is_sound:
            async with asyncio.timeout(TIMEOUT_S):
                kept = await self._read()
            check_retention(kept, books_days=self._books_days)
            self._is_sound = True

    async def _read(self) -> dict[str, int | None]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap, request_timeout_ms=int(TIMEOUT_S * 1000))
        try:
            await admin.start()
            wanted = dict.fromkeys(_READ)
            resources = [ConfigResource(ConfigResourceType.TOPIC, topic, configs=wanted) for topic in TOPICS]
            answers = await admin.describe_configs(resources)
        finally:
            await admin.close()
        kept: dict[str, int | None] = {}
        for code, _, _, topic, entries in (resource for answer in answers for resource in answer.resources):
            if code:
                raise for_code(code)(topic)
            kept[topic] = most_days({entry[0]: entry[1] for entry in entries})
        return kept


def most_days(config: Mapping[str, str]) -> int | None:
    """The days after which a record is gone for certain; None is never.

    Kafka deletes whole segments: a record may wait for its segment to be closed before its own time begins to count.
    """
    retention_ms = int(config["retention.ms"])
    if retention_ms < 0 or config["cleanup.policy"] != "delete":
        return None
    return -(-(retention_ms + int(config["segment.ms"])) // DAY_MS)


def check_retention(kept: Mapping[str, int | None], *, books_days: int) -> None:
    """Raise `RetentionError` naming topics and figures; a record may lie in one topic after the other."""
    days = [most for most in kept.values() if most is not None]
    if len(days) == len(kept) and sum(days) <= books_days:
        return
    figures = ", ".join(f"{topic} {'without end' if most is None else f'{most} days'}" for topic, most in kept.items())
    raise RetentionError(
        f"Kafka keeps usage longer than charges tell a repetition: {figures}; together they may take {books_days} days "
        "(FAREGATE_LEDGER_BOOKS_YEARS). Shorten retention.ms, or keep the books longer."
    )

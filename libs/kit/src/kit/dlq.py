"""Records that cannot be applied are set aside with origin and reason, and can be replayed."""

import base64
from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.operations import DLQ_GREW
from kit import logging, metrics, outbox
from kit.clock import Clock
from kit.database import SOURCE
from kit.ids import fact_id
from kit.received import SetAside

log = logging.get(__name__)


async def add(session: AsyncSession, group: str, aside: Sequence[SetAside], *, clock: Clock) -> None:
    """Queue records for their DLQs, and one `dlq-grew` event each, in the transaction of their batch."""
    source = session.info[SOURCE]
    for one in aside:
        record = one.record
        metrics.RECORDS_SET_ASIDE.labels(group, record.topic).inc()
        log.error(
            "kit.record_set_aside",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=one.reason,
        )
        await outbox.add_records(session, [(f"{record.topic}.dlq", record.key, encode(one, group=group))])
        await outbox.add(
            session,
            DLQ_GREW[source](
                id=fact_id(source, group, record.topic, record.partition, record.offset, "dlq"),
                time=clock.now(),
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                reason=one.reason,
            ),
        )


def encode(aside: SetAside, *, group: str) -> bytes:
    """The DLQ record: origin, reason, and the original bytes in base64."""
    record = aside.record
    return orjson.dumps(
        {
            "group": group,
            "reason": aside.reason,
            "origin": {"topic": record.topic, "partition": record.partition, "offset": record.offset},
            "key": _base64(record.key),
            "value": _base64(record.value),
        }
    )


def original(value: bytes) -> tuple[str, bytes | None, bytes | None]:
    """Topic, key and value of the record that was set aside: what a replay sends again."""
    aside: dict[str, Any] = orjson.loads(value)
    return aside["origin"]["topic"], _bytes(aside["key"]), _bytes(aside["value"])


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else base64.b64decode(value)

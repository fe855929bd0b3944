"""Records that cannot be applied are set aside with origin and reason, in the transaction of their batch."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.operations import DLQ_GREW
from kit import dead_letters, logging, metrics, outbox
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
        await outbox.add_records(session, [(f"{record.topic}.dlq", record.key, dead_letters.encode(one, group=group))])
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

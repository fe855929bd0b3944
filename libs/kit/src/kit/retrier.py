"""Applies parked events when what they waited for has appeared (money.md 24)."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from kit import dlq, logging, metrics, parking
from kit.clock import Clock
from kit.consumer import Consumer
from kit.database import Database, is_transient
from kit.received import SetAside, StoredRecord

log = logging.get(__name__)

LOOK_S: Final = 5.0
PARKED_LONG_S: Final = 60.0
PARKED_ALARM_S: Final = 900.0
PARKED_SWEEP_S: Final = 30.0
RELEASED_AT_ONCE: Final = 200


class ParkedRetrier:
    """The parked events of one consumer group; woken when a transaction released some."""

    def __init__(self, consumer: Consumer, *, database: Database, clock: Clock) -> None:
        self._consumer = consumer
        self._database = database
        self._clock = clock
        self._released = asyncio.Event()
        self._warned = False
        database.on_released.append(self._released.set)

    async def run(self) -> None:
        """Retry until cancelled: at once what was released, now and then everything."""
        swept = self._clock.monotonic()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._released.wait(), LOOK_S)
            self._released.clear()
            try:
                if self._clock.monotonic() - swept > PARKED_SWEEP_S:
                    # What an event waited for may have appeared while the event was being parked.
                    swept = self._clock.monotonic()
                    async with self._database.transaction() as session:
                        await parking.release_all(session, self._consumer.group)
                while await self._apply_released():
                    pass
                await self._count_parked()
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("kit.parked_delayed", group=self._consumer.group, reason=type(error).__name__)

    async def _apply_released(self) -> int:
        async with self._database.transaction() as session:
            records = await parking.list_released(session, self._consumer.group, limit=RELEASED_AT_ONCE)
            try:
                async with session.begin_nested():
                    await self._apply_parked(session, records)
                return len(records)
            except Exception as error:
                if is_transient(error):
                    raise
                log.exception("kit.parked_batch_failed", group=self._consumer.group, records=len(records))
            for record in records:
                await self._apply_parked_alone(session, record)
        return len(records)

    async def _apply_parked(self, session: AsyncSession, records: Sequence[StoredRecord]) -> None:
        if records:
            await self._consumer.apply(session, records, clock=self._clock)
            await parking.remove(session, self._consumer.group, records)

    async def _apply_parked_alone(self, session: AsyncSession, record: StoredRecord) -> None:
        """One that breaks its handler must not keep the others waiting, nor end the process again and again."""
        try:
            async with session.begin_nested():
                await self._apply_parked(session, [record])
        except Exception as error:
            if is_transient(error):
                raise
            aside = SetAside(record, f"cannot be applied: {type(error).__name__}")
            await dlq.add(session, self._consumer.group, [aside], clock=self._clock)
            await parking.remove(session, self._consumer.group, [record])

    async def _count_parked(self) -> None:
        async with self._database.reading() as session:
            count, since = await parking.census(session, self._consumer.group)
        age_s = (self._clock.now() - since).total_seconds() if since else 0.0
        metrics.PARKED.labels(self._consumer.group).set(count)
        metrics.PARKED_AGE.labels(self._consumer.group).set(age_s)
        self._tell(count, age_s)

    def _tell(self, count: int, age_s: float) -> None:
        """One event that came before what it names is nothing to tell; one that stays is."""
        told = {"group": self._consumer.group, "parked": count, "oldest_s": int(age_s)}
        if age_s > PARKED_ALARM_S:
            log.error("kit.events_parked_too_long", **told)
        elif age_s > PARKED_LONG_S and not self._warned:
            log.warning("kit.events_stay_parked", **told)
        self._warned = age_s > PARKED_LONG_S

"""Events leave a service only through this table, in the transaction that made them true."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import asyncpg
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.event import Event
from kit import logging, metrics
from kit.backoff import Backoff
from kit.database import OUTBOX_WRITTEN, SOURCE, Database
from kit.producer import Producer, ProducerError
from kit.tables import outbox_table

log = logging.get(__name__)

RELAY_LOCK = 7_301
_NEXT: Final = "SELECT id, topic, key, value FROM outbox ORDER BY id LIMIT $1"
# By the ids that were read: one below them may be committed later.
_REMOVE: Final = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"
_AWAY: Final = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


async def add(session: AsyncSession, *events: Event) -> None:
    """Queue events; write them under the lock of the entity they speak of, so that its versions leave in order."""
    await add_records(
        session, [(event.type, event.key.encode(), event.encode(session.info[SOURCE])) for event in events]
    )


async def add_records(session: AsyncSession, records: Sequence[tuple[str, bytes | None, bytes | None]]) -> None:
    """Queue raw records `(topic, key, value)`; a value of None is a tombstone."""
    if not records:
        return
    await session.execute(insert(outbox_table), [{"topic": t, "key": k, "value": v} for t, k, v in records])
    session.info[OUTBOX_WRITTEN] = True


class Relay:
    """Publishes the outbox in order of id and deletes what Kafka has acknowledged. One per service, held by a lock."""

    def __init__(self, database: Database, producer: Producer, *, batch: int = 2000, idle_s: float = 0.5) -> None:
        self._database = database
        self._producer = producer
        self._batch = batch
        self._idle_s = idle_s
        self._wake = asyncio.Event()
        database.on_outbox.append(self._wake.set)

    async def run(self) -> None:
        """Relay until cancelled; Kafka or PostgreSQL away means waiting longer, never losing or skipping."""
        backoff = Backoff()
        while True:
            try:
                await self._hold_and_relay(backoff)
            except (*_AWAY, ProducerError) as error:
                log.warning("kit.relay_delayed", reason=type(error).__name__)
                await asyncio.sleep(backoff.next_s())

    async def _hold_and_relay(self, backoff: Backoff) -> None:
        async with self._database.alone() as connection:
            # A session-level lock: it goes with the connection, so a killed relay frees it.
            held = await connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": RELAY_LOCK})
            if not held:
                await asyncio.sleep(self._idle_s)
                return
            raw = await connection.get_raw_connection()
            try:
                while True:
                    self._wake.clear()
                    published = await self._relay_batch(raw.driver_connection)
                    backoff.reset()
                    if not published:
                        with suppress(TimeoutError):
                            await asyncio.wait_for(self._wake.wait(), self._idle_s)
            finally:
                with suppress(*_AWAY):
                    await connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": RELAY_LOCK})

    async def _relay_batch(self, connection: asyncpg.Connection) -> int:
        """By the driver itself: with each event of a busy service, what SQLAlchemy does for a row counts."""
        rows = await connection.fetch(_NEXT, self._batch)
        if rows:
            await self._producer.send_all([(topic, key, value) for _, topic, key, value in rows])
            await connection.execute(_REMOVE, [row[0] for row in rows])
            metrics.OUTBOX_RELAYED.inc(len(rows))
        return len(rows)


async def waiting(session: AsyncSession) -> int:
    """How many events have not reached Kafka yet."""
    return await session.scalar(select(func.count()).select_from(outbox_table)) or 0

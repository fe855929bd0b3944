"""Events leave a service only through this table, in the transaction that made them true."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

import asyncpg
import cramjam
import msgspec
from sqlalchemy import insert, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.event import Event
from kit import logging, metrics
from kit.backoff import Backoff
from kit.database import OUTBOX_WRITTEN, SOURCE, Database
from kit.producer import Producer, ProducerError
from kit.tables import outbox_table

log = logging.get(__name__)

Record = tuple[str, bytes | None, bytes | None]
"""Topic, key, value; a value of None is a tombstone."""

RELAY_LOCK = 7_301
PACKED: Final = "*"
"""In the place of a topic, which has no such name: the row is a pack of records, and its key says of how many."""
PACKED_FROM: Final = 50
"""Fewer records than this stand in rows of their own, where an operator can read them."""
PACK: Final = 250
SENT_AT_ONCE: Final = 2000
_NEXT: Final = "SELECT id, topic, key, value FROM outbox ORDER BY id LIMIT $1"
# By the ids that were read: one below them may be committed later.
_REMOVE: Final = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"
_WAITING: Final = f"""
SELECT coalesce(sum(CASE topic WHEN '{PACKED}' THEN convert_from(key, 'UTF8')::bigint ELSE 1 END), 0)::bigint
FROM outbox
"""  # noqa: S608  # our own constant
_AWAY: Final = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Record]).decode


async def add(session: AsyncSession, *events: Event) -> None:
    """Queue events; write them under the lock of the entity they speak of, so that its versions leave in order."""
    await add_records(
        session, [(event.type, event.key.encode(), event.encode(session.info[SOURCE])) for event in events]
    )


async def add_records(session: AsyncSession, records: Sequence[Record]) -> None:
    """Queue raw records, in this order.

    Many are packed, some hundred to a row: a row costs the database more than the records in it, which are much alike.
    """
    if not records:
        return
    rows = (
        records
        if len(records) < PACKED_FROM
        else [_packed(records[n : n + PACK]) for n in range(0, len(records), PACK)]
    )
    await session.execute(insert(outbox_table), [{"topic": t, "key": k, "value": v} for t, k, v in rows])
    session.info[OUTBOX_WRITTEN] = True


def _packed(records: Sequence[Record]) -> Record:
    return PACKED, b"%d" % len(records), bytes(cramjam.zstd.compress(_encode(records), 1))


def unpacked(rows: Iterable[Record]) -> Iterator[Record]:
    """The records of rows, packs or not."""
    for row in rows:
        topic, _, value = row
        if topic == PACKED:
            assert value is not None
            yield from _decode(cramjam.zstd.decompress(value))
        else:
            yield row


class Relay:
    """Publishes the outbox in order of id and deletes what Kafka has acknowledged. One per service, held by a lock."""

    def __init__(self, database: Database, producer: Producer, *, batch: int = 500, idle_s: float = 0.5) -> None:
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
        for some, ids in _portions(rows):
            await self._producer.send_all(some)
            await connection.execute(_REMOVE, ids)
            metrics.OUTBOX_RELAYED.inc(len(some))
        return len(rows)


def _portions(rows: Sequence[asyncpg.Record]) -> Iterator[tuple[list[Record], list[int]]]:
    """Records to send together, and the ids of their rows: rows full of packs would be too many for one sending."""
    records: list[Record] = []
    ids: list[int] = []
    for row_id, *row in rows:
        records += unpacked([tuple(row)])
        ids.append(row_id)
        if len(records) >= SENT_AT_ONCE:
            yield records, ids
            records, ids = [], []
    if records:
        yield records, ids


async def list_waiting(session: AsyncSession, *, limit: int) -> list[Record]:
    """The records that leave next, packs taken apart."""
    rows = await session.execute(
        text("SELECT topic, key, value FROM outbox ORDER BY id LIMIT :limit"), {"limit": limit}
    )
    return list(islice(unpacked(tuple(row) for row in rows), limit))


async def waiting(session: AsyncSession) -> int:
    """How many events have not reached Kafka yet."""
    return await session.scalar(text(_WAITING)) or 0

"""Many records leave in packs: in order, each, whatever fails between."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Sequence
from uuid import uuid4

import pytest
from sqlalchemy import text

from kit import outbox
from kit.database import Database
from kit.outbox import PACK, PACKED_FROM, SENT_AT_ONCE, Record, Relay
from kit.producer import ProducerError

TOPIC = "auth.account-activated.v1"
MANY = 2 * SENT_AT_ONCE + PACK // 2


class Sent:
    """In Kafka's place; refuses what comes after so many sendings."""

    def __init__(self, *, refuses_after: int | None = None) -> None:
        self.records: list[Record] = []
        self.sizes: list[int] = []
        self.refuses_after = refuses_after

    async def send_all(self, records: Sequence[Record]) -> None:
        if self.refuses_after == len(self.sizes):
            raise ProducerError("away")
        self.sizes.append(len(records))
        self.records += records


def records(count: int) -> list[Record]:
    """Some with a key of their own, some without, some tombstones."""
    return [
        (TOPIC, None if n % 7 == 0 else str(uuid4()).encode(), None if n % 5 == 0 else f'{{"n":{n}}}'.encode())
        for n in range(count)
    ]


async def queue(database: Database, *lots: Sequence[Record]) -> None:
    for lot in lots:
        async with database.transaction() as session:
            await outbox.add_records(session, lot)


async def relay_all(database: Database, sent: Sent) -> None:
    relay = Relay(database, sent)  # type: ignore[arg-type]  # only `send_all` is asked of it
    async with database.alone() as connection:
        raw = await connection.get_raw_connection()
        while await relay._relay_batch(raw.driver_connection):
            pass


async def counted(database: Database) -> tuple[int, int]:
    """Events that wait, and rows that hold them."""
    async with database.reading() as session:
        return await outbox.waiting(session), await session.scalar(text("SELECT count(*) FROM outbox")) or 0


@pytest.mark.parametrize("count", [1, PACKED_FROM - 1, PACKED_FROM, PACK, PACK + 1, MANY])
async def test_what_is_queued_together_leaves_in_its_order_between_what_was_before_and_after(
    database: Database, count: int
) -> None:
    lots = [records(3), records(count), records(2), records(PACKED_FROM)]
    await queue(database, *lots)
    everything = [record for lot in lots for record in lot]
    waiting, rows = await counted(database)
    assert waiting == len(everything)
    assert rows <= 3 + 2 + 1 + (count if count < PACKED_FROM else -(-count // PACK))

    sent = Sent()
    await relay_all(database, sent)

    assert sent.records == everything
    assert max(sent.sizes) < SENT_AT_ONCE + PACK, "nobody waits long for one sending"
    assert await counted(database) == (0, 0)


async def test_what_kafka_does_not_take_stays_and_leaves_later(database: Database) -> None:
    many = records(MANY)
    await queue(database, many)
    away = Sent(refuses_after=1)
    with pytest.raises(ProducerError):
        await relay_all(database, away)
    left, _ = await counted(database)
    assert 0 < left == MANY - len(away.records)

    later = Sent()
    await relay_all(database, later)

    assert away.records + later.records == many


async def test_a_transaction_that_is_undone_queues_no_pack(database: Database) -> None:
    async def undone() -> None:
        async with database.transaction() as session:
            await outbox.add_records(session, records(MANY))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await undone()
    assert await counted(database) == (0, 0)


COMMAND = """
from pathlib import Path

from fastapi import FastAPI
from pydantic import SecretStr

from kit.cli import build_cli
from kit.settings import ServiceSettings

class Settings(ServiceSettings):
    database_url: SecretStr

build_cli("ledger", settings=Settings, create_app=lambda _: FastAPI(), migrations_folder=Path(), help_text="-")()
"""


async def test_what_waits_is_listed_for_an_operator_without_its_content(database: Database) -> None:
    many = records(MANY)
    await queue(database, records(2), many)
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("FAREGATE_")},
        "FAREGATE_KAFKA_BOOTSTRAP": "127.0.0.1:1",
        "FAREGATE_PUBLIC_URL": "http://faregate.test",
        "FAREGATE_AUTH_URL": "http://auth.test",
        "DATABASE_URL": database.engine.url.render_as_string(hide_password=False),
        "PORT": "8000",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", COMMAND, "outbox", "--limit", "5", env=env, stdout=PIPE, stderr=STDOUT
    )
    async with asyncio.timeout(40):
        said = (await process.communicate())[0].decode()

    assert process.returncode == 0, said
    count, *listed = said.splitlines()
    assert count == f"ledger: {MANY + 2} events wait for Kafka"
    assert listed[2] == f"{TOPIC} - tombstone"
    key = (many[1][1] or b"").decode()
    assert listed[3] == f"{TOPIC} {key} {len(many[1][2] or b'')} bytes"
    assert len(listed) == 5
    assert '"n"' not in said

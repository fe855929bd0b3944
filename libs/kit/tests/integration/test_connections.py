"""Connections that do not work any more are replaced before they are used."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
from sqlalchemy import URL, make_url, text

from kit.database import IDLE_S, Database
from sandbox.testing import FreshDatabase

BACKEND = text("SELECT pg_backend_pid()")


class Middle:
    """Between pool and server, as a firewall is: once it has `forgotten`, whoever sends something is reset."""

    def __init__(self, url: URL) -> None:
        self.url, self.forgotten = url, False

    async def between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(self.url.host, self.url.port)
        answers = asyncio.create_task(self._pass(server_reader, writer))
        known = not self.forgotten
        while data := await reader.read(65_536):
            if known and self.forgotten:
                writer.transport.abort()
                break
            server_writer.write(data)
        answers.cancel()
        server_writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        # Whoever says goodbye waits until the server has hung up.
        writer.close()


@asynccontextmanager
async def _through(middle: Middle) -> AsyncIterator[Database]:
    server = await asyncio.start_server(middle.between, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    database = Database(_text(middle.url.set(host="127.0.0.1", port=port)), source="ledger")
    try:
        yield database
    finally:
        await database.close()
        server.close()


async def test_a_connection_that_the_server_has_closed_is_replaced(database: Database) -> None:
    closed = asyncio.Event()
    async with database.transaction() as session:
        first = (await session.execute(BACKEND)).scalar_one()
        held = (await (await session.connection()).get_raw_connection()).driver_connection
        assert held is not None
        held.add_termination_listener(lambda _: closed.set())
    again = await _backend(database)

    other = await asyncpg.connect(_text(database.engine.url.set(drivername="postgresql")))
    await other.execute("SELECT pg_terminate_backend($1)", first)
    await other.close()
    await asyncio.wait_for(closed.wait(), 20)
    later = await _backend(database)

    assert again == first
    assert later != first


async def test_a_connection_that_was_lost_while_it_was_idle_is_replaced(fresh_database: FreshDatabase) -> None:
    middle = Middle(make_url(await fresh_database("ledger")))
    async with _through(middle) as database:
        first = await _backend(database)
        middle.forgotten = True
        await asyncio.sleep(IDLE_S + 0.1)

        later = await _backend(database)

    assert later != first


async def test_a_reading_sees_one_instant_and_changes_nothing_and_the_next_on_its_connection_may(
    database: Database,
) -> None:
    kinds = []
    for begin in (database.reading, database.transaction, database.reading):
        async with begin() as session:
            asked = [await session.scalar(text(f"SHOW transaction_{one}")) for one in ("isolation", "read_only")]
            kinds.append((await session.scalar(BACKEND), *asked))

    assert len({backend for backend, _, _ in kinds}) == 1
    reads = ("repeatable read", "on")
    assert [tuple(kind[1:]) for kind in kinds] == [reads, ("read committed", "off"), reads]


async def test_a_statement_alone_is_a_transaction_by_itself_and_the_next_on_its_connection_is_not(
    database: Database,
) -> None:
    async with database.transaction() as session:
        await session.execute(text("CREATE TABLE noted (said text)"))

    for begin, said in ((database.statement, "kept"), (database.transaction, "lost")):
        with suppress(RuntimeError):
            async with begin() as session:
                await session.execute(text("INSERT INTO noted VALUES (:said)"), {"said": said})
                raise RuntimeError

    async with database.reading() as session:
        assert list(await session.scalars(text("SELECT said FROM noted"))) == ["kept"]


async def _backend(database: Database) -> int:
    async with database.transaction() as session:
        return int((await session.execute(BACKEND)).scalar_one())


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)

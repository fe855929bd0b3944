"""Sessions on PostgreSQL: one request or batch, one transaction, committed at the edge."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

SOURCE: Final = "source"
OUTBOX_WRITTEN: Final = "outbox_written"
PARKED_RELEASED: Final = "parked_released"
IDLE_S: Final = 1.0
_GIVEN_BACK: Final = "given_back"


class Database:
    """A pool of connections to one service's own database. `source` is the service that its outbox speaks for."""

    def __init__(self, url: str, *, source: str, pool_size: int = 10, command_timeout_s: float = 30) -> None:
        self.engine: AsyncEngine = create_async_engine(
            async_url(url),
            pool_size=pool_size,
            max_overflow=5,
            pool_timeout=5,
            hide_parameters=True,
            connect_args={
                "timeout": 5,
                "command_timeout": command_timeout_s,
                "server_settings": {"application_name": source},
            },
        )
        _look_at_idle(self.engine)
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False, info={SOURCE: source})
        # Said with BEGIN, not by a statement of its own.
        reading = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._readers = async_sessionmaker(reading, expire_on_commit=False, info={SOURCE: source})
        single = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._single = async_sessionmaker(single, expire_on_commit=False, info={SOURCE: source})
        self._alone = single
        self.on_outbox: list[Callable[[], None]] = []
        self.on_released: list[Callable[[], None]] = []

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session whose transaction commits at the end of the block, or rolls back when it raises."""
        async with self._sessions() as session:
            async with session.begin():
                yield session
            self._wake(session)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session for one consistent read: a read-only, repeatable-read transaction."""
        async with self._readers() as session, session.begin():
            yield session

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[AsyncSession]:
        """A session for one statement, which is a transaction by itself: BEGIN and COMMIT are round trips."""
        async with self._single() as session:
            yield session

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[AsyncConnection]:
        """A connection to keep, on which each statement is a transaction by itself."""
        async with self._alone.connect() as connection:
            yield connection

    def _wake(self, session: AsyncSession) -> None:
        if session.info.pop(OUTBOX_WRITTEN, False):
            for wake in self.on_outbox:
                wake()
        if session.info.pop(PARKED_RELEASED, False):
            for wake in self.on_released:
                wake()

    async def ping(self) -> None:
        """Raise when the database does not answer."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self.engine.dispose()


def _look_at_idle(engine: AsyncEngine) -> None:
    """Before a connection is used that has been idle, ask whether it still works.

    The pool's own way (`pool_pre_ping`) asks each time, in three round trips, where a short transaction takes six.
    """

    @event.listens_for(engine.sync_engine, "checkin")
    def given_back(_connection: Any, record: Any) -> None:
        record.info[_GIVEN_BACK] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def taken(connection: Any, record: Any, _proxy: Any) -> None:
        if connection.driver_connection.is_closed():
            raise DisconnectionError
        if time.monotonic() - record.info.get(_GIVEN_BACK, time.monotonic()) > IDLE_S:
            try:
                connection.ping()
            except (DBAPIError, OSError, connection.dbapi.Error) as error:
                raise DisconnectionError from error


TRANSIENT_CLASSES: Final = ("08", "40", "53", "55", "57", "58")
"""SQLSTATE classes that trying again can heal: connection, rollback, resources, locks, shutdown, system."""


def is_transient(error: BaseException) -> bool:
    """True when the database, not the statement, is at fault."""
    if isinstance(error, OSError | TimeoutError | PoolTimeoutError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return error.connection_invalidated or not state or state.startswith(TRANSIENT_CLASSES)


def async_url(url: str) -> str:
    """The URL with the asyncpg driver named, whatever driver it came with."""
    _, _, rest = url.partition("://")
    return f"postgresql+asyncpg://{rest}"

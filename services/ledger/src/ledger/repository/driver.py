"""The bare driver under a session, for COPY and for arrays as parameters."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import asyncpg
from asyncpg.pgproto import pgproto
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

NOBODY: Final[UUID] = pgproto.UUID("00000000-0000-0000-0000-000000000000")
"""The nil UUID in the driver's own class, which hashes and travels without Python."""
_BEGUN: Final = "driver_begun"
_BY_INDEX: Final = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"


@asynccontextmanager
async def driver(session: AsyncSession) -> AsyncIterator[Any]:
    """The session's asyncpg connection, inside its transaction; errors come out as SQLAlchemy's, as `kit` expects."""
    connection = await session.connection()
    if not session.info.get(_BEGUN):
        # SQLAlchemy sends BEGIN with its own first statement, and knows nothing of the driver's.
        await connection.execute(text("SELECT 1"))
        session.info[_BEGUN] = True
    raw = await connection.get_raw_connection()
    try:
        yield raw.driver_connection
    except asyncpg.exceptions.DataError:
        raise
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DBAPIError("a statement of the ledger", None, error) from error


async def find_by_index(session: AsyncSession) -> None:
    """For the rest of a transaction that touches a few thousand rows, each of them by its key.

    What it joins with has no statistics, being arrays and temporary tables, so the planner takes it for larger than it
    is and would rather read all accounts and grants, for every batch.
    """
    async with driver(session) as connection:
        await connection.execute(_BY_INDEX)


async def mark(session: AsyncSession) -> None:
    """Where `forget_since_mark` goes back to.

    It is never released: what is locked behind a mark and changed when that is gone needs, for each row, a record of
    both (a multixact).
    """
    async with driver(session) as connection:
        await connection.execute("SAVEPOINT mark")


async def forget_since_mark(session: AsyncSession) -> None:
    """Undo what the transaction has written and locked since its mark."""
    async with driver(session) as connection:
        await connection.execute("ROLLBACK TO SAVEPOINT mark")

"""Rows as PostgreSQL's COPY reads them in binary form.

The driver encodes cell by cell, with a call for each; most cells of a batch are the same few texts, or stand side by
side with a fixed width, and are packed together here.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import Any, Final
from uuid import UUID

NULL: Final = b"\xff\xff\xff\xff"
_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_UUID: Final = (16).to_bytes(4, "big")
_size: Final = Struct(">i").pack
_bigint: Final = Struct(">iq").pack
_integer: Final = Struct(">ii").pack


async def copy_rows(connection: Any, table: str, *, columns: Sequence[str], rows: Iterable[bytes]) -> None:
    """COPY rows that are packed already; each begins with the number of its columns."""

    async def source() -> AsyncIterator[bytes]:
        yield b"".join((_HEADER, *rows, _TRAILER))

    await connection.copy_to_table(table, source=source(), columns=columns, format="binary")


async def stage_rows(
    connection: Any, table: str, *, definition: str, columns: Sequence[str], rows: Iterable[bytes]
) -> None:
    """COPY rows into a table of the connection's own, without what an earlier batch of the transaction left there."""
    await connection.execute(
        f"CREATE TEMPORARY TABLE IF NOT EXISTS {table} ({definition}) ON COMMIT DELETE ROWS; DELETE FROM {table}"  # noqa: S608
    )
    await copy_rows(connection, table, columns=columns, rows=rows)


def update_from(staged: str, *, table: str, kinds: Mapping[str, str]) -> tuple[str, str]:
    """The definition of a staged table, and the statement that brings its rows into `table` by their ids."""
    names = ", ".join(f"{name} = n.{name}" for name in kinds if name != "id")
    definition = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
    return definition, f"UPDATE {table} AS t SET {names} FROM {staged} AS n WHERE t.id = n.id"  # noqa: S608


def micros(instant: datetime) -> int:
    """An instant as the server counts it."""
    return (instant - _EPOCH) // _MICROSECOND


def text(value: str | None) -> bytes:
    if value is None:
        return NULL
    encoded = value.encode()
    return _size(len(encoded)) + encoded


known_text: Final = lru_cache(maxsize=50_000)(text)
"""For texts that come again and again."""


def uuid(value: UUID | None) -> bytes:
    return NULL if value is None else _UUID + value.bytes


def bigint(value: int | None) -> bytes:
    return NULL if value is None else _bigint(8, value)


def integer(value: int | None) -> bytes:
    return NULL if value is None else _integer(4, value)


def instant(value: datetime | None) -> bytes:
    return NULL if value is None else _bigint(8, micros(value))


def jsonb(value: str | None) -> bytes:
    """A JSON text behind the version of its form."""
    if value is None:
        return NULL
    encoded = value.encode()
    return _size(len(encoded) + 1) + b"\x01" + encoded

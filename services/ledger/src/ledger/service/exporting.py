"""Transactions and calls as files of any length: read page by page, sent as they are read."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol
from uuid import UUID

from kit.database import Database
from ledger.adapters.parquet import ParquetPages
from ledger.domain.exports import COLUMNS, What, csv_header, csv_lines
from ledger.domain.requests import RequestFilter, TransferFilter
from ledger.repository import reading as repository

PAGE: Final = 5_000
Format = Literal["csv", "parquet"]
Shape = Callable[[Any], Mapping[str, Any]]


class Writer(Protocol):
    """Turns pages of rows into the bytes of a file."""

    def page(self, rows: Sequence[Mapping[str, Any]]) -> bytes: ...

    def end(self) -> bytes: ...


class CsvPages:
    """RFC 4180, with a header."""

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self._columns = list(columns)
        self._is_begun = False

    def page(self, rows: Sequence[Mapping[str, Any]]) -> bytes:
        return (self._header() + csv_lines(self._columns, rows)).encode()

    def end(self) -> bytes:
        return self._header().encode()

    def _header(self) -> str:
        header, self._is_begun = "" if self._is_begun else csv_header(self._columns), True
        return header


@dataclass(frozen=True, slots=True)
class Exporting:
    """Files; each page is a short read of its own, so that a slow client holds nothing open in the database."""

    database: Database

    async def transactions(self, wanted: TransferFilter, *, file_format: Format, shape: Shape) -> AsyncIterator[bytes]:
        """Newest first; what is booked meanwhile is behind the first page, and so not in the file."""

        async def read(before: Any) -> Sequence[Any]:
            async with self.database.reading() as session:
                return await repository.list_transfers(session, wanted, before=before, limit=PAGE)

        async for part in _parts("transactions", read, position="seq", file_format=file_format, shape=shape):
            yield part

    async def requests(self, wanted: RequestFilter, *, file_format: Format, shape: Shape) -> AsyncIterator[bytes]:
        """Newest first by id."""

        async def read(before: Any) -> Sequence[Any]:
            async with self.database.reading() as session:
                return await repository.list_requests(session, wanted, before=before, limit=PAGE)

        async for part in _parts("requests", read, position="id", file_format=file_format, shape=shape):
            yield part


async def _parts(
    what: What, read: Callable[[Any], Any], *, position: str, file_format: Format, shape: Shape
) -> AsyncIterator[bytes]:
    columns = COLUMNS[what]
    writer: Writer = ParquetPages(columns) if file_format == "parquet" else CsvPages(columns)
    before: UUID | int | None = None
    while rows := await read(before):
        # Off the loop: a page of Parquet takes some ten milliseconds to press.
        yield await asyncio.to_thread(writer.page, [shape(row) for row in rows])
        if len(rows) < PAGE:
            break
        before = getattr(rows[-1], position)
    yield await asyncio.to_thread(writer.end)

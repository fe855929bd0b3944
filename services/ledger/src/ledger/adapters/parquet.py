"""Parquet, written as it is read: each page of rows is a row group, and what is finished goes out at once."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from ledger.domain.exports import Kind

_TYPES: Final[Mapping[Kind, pa.DataType]] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "instant": pa.timestamp("us", tz="UTC"),
    "json": pa.string(),
}


class ParquetPages:
    """One file; no more than a page of it is in memory."""

    def __init__(self, columns: Mapping[str, Kind]) -> None:
        self._sink = BytesIO()
        self._schema = pa.schema([(name, _TYPES[kind]) for name, kind in columns.items()])
        self._writer = pq.ParquetWriter(_Tail(self._sink), self._schema, compression="zstd")

    def page(self, rows: Sequence[Mapping[str, Any]]) -> bytes:
        """The bytes that these rows add to the file."""
        self._writer.write_table(pa.Table.from_pylist(list(rows), schema=self._schema))
        return self._taken()

    def end(self) -> bytes:
        """The file's last bytes: its index."""
        self._writer.close()
        return self._taken()

    def _taken(self) -> bytes:
        taken = self._sink.getvalue()
        self._sink.seek(0)
        self._sink.truncate()
        return taken


class _Tail:
    """A file that only grows, whose beginning may be gone: positions count what was ever written."""

    def __init__(self, sink: BytesIO) -> None:
        self._sink = sink
        self._written = 0
        self.closed = False

    def write(self, data: Any) -> int:
        written = self._sink.write(bytes(data))
        self._written += written
        return written

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self.closed = True

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

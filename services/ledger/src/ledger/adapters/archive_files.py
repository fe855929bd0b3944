"""Usage detail as Parquet files in a folder: written aside, moved into place when they are whole."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import BigInteger, Column, DateTime, Integer, Uuid
from sqlalchemy import Boolean as SqlBoolean

GROUP_ROWS: Final = 20_000
_CHUNK: Final = 1 << 20


class ArchiveDamagedError(RuntimeError):
    """A file does not hold what was written to it."""


def schema_of(columns: Iterable[Column[Any]]) -> pa.Schema:
    """Ids as text, instants in UTC to the microsecond, JSON as text."""
    return pa.schema([pa.field(column.name, _type_of(column.type)) for column in columns])


def row_group(schema: pa.Schema, rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    """Rows in the order of the schema's columns."""
    columns = zip(*rows, strict=True)
    arrays = [
        pa.array([str(value) if value is not None else None for value in column], field.type)
        if pa.types.is_string(field.type)
        else pa.array(column, field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.record_batch(arrays, schema=schema)


class ArchiveFolder:
    """Where archives lie. Its methods block; call them in a thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path_of(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"

    @contextmanager
    def writing(self, name: str, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
        """A file that takes its place when the block ends without an error; what a kill leaves is written over."""
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = self.path_of(name).with_suffix(".writing")
        with aside.open("wb") as file:
            with pq.ParquetWriter(file, schema, compression="zstd") as writer:
                yield writer
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.path_of(name))
        self._sync()

    @contextmanager
    def reading(self, name: str) -> Iterator[Iterator[pa.RecordBatch]]:
        """The row groups of a file as they were written."""
        with pq.ParquetFile(self.path_of(name)) as file:
            yield (_whole(file.read_row_group(number)) for number in range(file.num_row_groups))

    def checksum(self, name: str) -> tuple[int, bytes]:
        """Bytes and SHA-256; raises `FileNotFoundError`."""
        digest, size = hashlib.sha256(), 0
        with self.path_of(name).open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
        return size, digest.digest()

    def write_manifest(self, name: str, manifest: dict[str, Any]) -> None:
        """A file beside the archive that says the same as the table, for whoever has only the folder."""
        aside = self.folder / f"{name}.json.writing"
        aside.write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z))
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(self.folder / f"{name}.json")
        self._sync()

    def _sync(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _whole(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def _type_of(column: Any) -> pa.DataType:
    if isinstance(column, DateTime):
        return pa.timestamp("us", tz="UTC")
    if isinstance(column, BigInteger):
        return pa.int64()
    if isinstance(column, Integer):
        return pa.int32()
    if isinstance(column, SqlBoolean):
        return pa.bool_()
    # Text, UUIDs and JSON; what is added to the table later is text until it is named here.
    assert not isinstance(column, Uuid) or column.as_uuid
    return pa.string()

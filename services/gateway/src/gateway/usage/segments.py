"""Append-only files of records, each with its length and CRC: what journal and spool are made of.

A record that was torn or damaged costs itself only: reading goes on at the next one that is whole.
"""

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final

# No UTF-8 text holds these bytes, so that a record's beginning is hardly ever found inside another.
_MAGIC: Final = b"\xf5\xfeFG"
_HEAD: Final = Struct("<4sII")
HEAD_BYTES: Final = _HEAD.size
MOST_RECORD_BYTES: Final = 16 << 20

_pack = _HEAD.pack
_crc32 = zlib.crc32


def framed(payload: bytes) -> bytes:
    """The record as it lies in a file."""
    return _pack(_MAGIC, len(payload), _crc32(payload)) + payload


@dataclass(slots=True)
class Damage:
    """What a reader had to leave out."""

    bytes_skipped: int = 0
    places: int = 0


def records(content: bytes, *, start: int = 0, damage: Damage | None = None) -> Iterator[tuple[int, bytes]]:
    """Every whole record with the offset behind it."""
    position = start
    while position < len(content):
        payload = _payload_at(content, position)
        if payload is not None:
            position += HEAD_BYTES + len(payload)
            yield position, payload
            continue
        following = _next_whole(content, position + 1)
        if damage is not None:
            damage.places += 1
            damage.bytes_skipped += following - position
        position = following


def _next_whole(content: bytes, position: int) -> int:
    while (position := content.find(_MAGIC, position)) != -1:
        if _payload_at(content, position) is not None:
            return position
        position += 1
    return len(content)


def _payload_at(content: bytes, position: int) -> bytes | None:
    if position + HEAD_BYTES > len(content):
        return None
    magic, length, crc = _HEAD.unpack_from(content, position)
    start = position + HEAD_BYTES
    if magic != _MAGIC or length > MOST_RECORD_BYTES or start + length > len(content):
        return None
    payload = content[start : start + length]
    return payload if _crc32(payload) == crc else None


class SegmentWriter:
    """One file that only grows; a write that fails half-way is taken back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.size = os.fstat(self._file).st_size

    def append(self, content: bytes) -> None:
        """Write all of it or, raising `OSError`, nothing."""
        written = os.write(self._file, content)
        if written != len(content):
            self._append_rest(memoryview(content)[written:])
        self.size += len(content)

    def _append_rest(self, rest: memoryview) -> None:
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self.size)
            raise

    def sync(self) -> None:
        os.fdatasync(self._file)

    def close(self) -> None:
        os.close(self._file)


def numbered(folder: Path, suffix: str) -> list[Path]:
    """The segments of a folder, oldest first."""
    return sorted(folder.glob(f"{'[0-9]' * 10}{suffix}"))


def number_of(path: Path) -> int:
    return int(path.name.partition(".")[0])


def path_of(folder: Path, number: int, suffix: str) -> Path:
    return folder / f"{number:010}{suffix}"


def sync_folder(folder: Path) -> None:
    """Make names that were added to a folder, or taken from it, survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replaced(path: Path, content: bytes) -> None:
    """Write a small file so that it is always the old one or the new one."""
    scratch = path.with_suffix(path.suffix + ".new")
    with scratch.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)

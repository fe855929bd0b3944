from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

REST: Final = "usage_detail_rest"
"""The default partition: calls of months that have none of their own, or none any more."""


@dataclass(frozen=True, slots=True)
class Part:
    """Usage detail of `[first_id, end_id)` that is archived as a whole."""

    name: str
    relation: str
    first_id: UUID
    end_id: UUID


class Content(NamedTuple):
    """What a part holds: rows, and an order-free sum over what they say."""

    rows: int
    sum: int


class ArchiveState(StrEnum):
    """`verified`: the file was read back and agrees; `dropped`: it is the only place of these rows."""

    VERIFIED = "verified"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A file of usage detail, as the manifest knows it."""

    name: str
    first_id: UUID
    end_id: UUID
    state: ArchiveState
    file: str
    size_bytes: int
    sha256: bytes
    content: Content
    archived_at: datetime
    dropped_at: datetime | None = None

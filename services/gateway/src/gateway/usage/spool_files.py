"""What lies in a spool's folder: events that Kafka has not acknowledged, oldest first, and how far replay has come."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

import orjson

from gateway.usage.outgoing import Outgoing, unspooled
from gateway.usage.segments import Damage, number_of, numbered, records, replaced

SPOOL: Final = ".spool"
_POSITION: Final = "position"


class Position(NamedTuple):
    """Everything before it is acknowledged."""

    segment: int
    offset: int


@dataclass(slots=True)
class Waiting:
    """What waits in a spool."""

    events: int = 0
    bytes: int = 0
    oldest_s: float | None = None
    ids: set[UUID] = field(default_factory=set)
    damage: Damage = field(default_factory=Damage)


def position_in(folder: Path) -> Position:
    """A position that was lost costs only repetition: ids are the same, and the ledger tells them."""
    try:
        said = orjson.loads((folder / _POSITION).read_bytes())
        return Position(int(said["segment"]), int(said["offset"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return Position(0, 0)


def note_position(folder: Path, position: Position) -> None:
    replaced(folder / _POSITION, orjson.dumps(position._asdict()))


def unacknowledged(folder: Path, *, damage: Damage | None = None) -> Iterator[tuple[Outgoing, bytes]]:
    """Every event behind the position with its memo; segments that replay deletes meanwhile are not missed."""
    position = position_in(folder)
    for path in numbered(folder, SPOOL):
        number = number_of(path)
        if number < position.segment:
            continue
        start = position.offset if number == position.segment else 0
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        for _, payload in records(content, start=start, damage=damage):
            yield unspooled(payload)


def waiting_in(folder: Path) -> Waiting:
    """Counted from the files, so that anybody may look while a gateway runs."""
    waiting = Waiting()
    for event, _ in unacknowledged(folder, damage=waiting.damage):
        waiting.events += 1
        waiting.bytes += len(event.value)
        waiting.ids.add(event.event_id)
    if waiting.events:
        waiting.oldest_s = oldest_s(folder)
    return waiting


def oldest_s(folder: Path) -> float | None:
    """When the oldest segment was last written to."""
    return min((path.stat().st_mtime for path in numbered(folder, SPOOL)), default=None)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in numbered(folder, SPOOL))

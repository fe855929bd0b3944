"""What lies in a journal's folder, and how it is read again: after a crash, for `reconcile`, by the command line.

`N.journal` holds admissions with all that an `orphaned` event needs, and the ids of calls that have ended. Once all
calls of a closed one have ended it is replaced by `N.ids` (money.md 11, 31): id and time of each admission and the
number of its report, 28 bytes, beside the reports, which calls of one caller share.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple
from uuid import UUID

import orjson

from gateway.admission.types import Allocation
from gateway.usage.segments import Damage, framed, number_of, numbered, path_of, records, replaced

JOURNAL: Final = ".journal"
IDS: Final = ".ids"
ADMITTED: Final = b"A"
ENDED: Final = b"E"
NOTHING: Final = b"N"
_COUNTED: Final = "counted"
_HEAD: Final = Struct("<c16sd")
_REPORT: Final = Struct("<cI")
_ENTRY: Final = Struct("<16sqI")
_SPLIT: Final = b"\n"
_IDS_PER_RECORD: Final = 4096
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE_US: Final = 60_000_000


@dataclass(frozen=True, slots=True)
class Journalled:
    """An admission as the journal remembers it."""

    call_id: UUID
    admitted_us: int
    allocation_json: bytes
    report: bytes

    @property
    def admitted_at(self) -> datetime:
        return instant_of(self.admitted_us)

    @property
    def allocation(self) -> tuple[Allocation, ...]:
        return tuple(Allocation(*one) for one in orjson.loads(self.allocation_json))

    @property
    def account_id(self) -> UUID:
        return UUID(orjson.loads(self.report)["account_id"])


@dataclass(slots=True)
class Contents:
    """A journal, read: calls without an end by segment, and how much could not be read."""

    open: dict[UUID, Journalled] = field(default_factory=dict)
    segment: dict[UUID, int] = field(default_factory=dict)
    last_us: int = 0
    damage: Damage = field(default_factory=Damage)


def instant_of(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def microseconds_of(instant: datetime) -> int:
    return round(instant.timestamp() * 1_000_000)


def admitted_payload(call_id: UUID, admitted_s: float, *, allocation: Iterable[Allocation], report: bytes) -> bytes:
    """`admitted_s` is a POSIX timestamp, which as a double is exact to the microsecond."""
    # As JSON; ids and units are plain ASCII.
    split = ",".join([f'["{slice_id}","{unit}",{amount}]' for slice_id, unit, amount in allocation])
    return b"%b[%b]\n%b" % (_HEAD.pack(ADMITTED, call_id.int.to_bytes(16, "big"), admitted_s), split.encode(), report)


def ended_payload(call_ids: Iterable[UUID]) -> bytes:
    return ENDED + b"".join([call_id.bytes for call_id in call_ids])


def _journalled(payload: bytes) -> Journalled:
    _, call_id, admitted_s = _HEAD.unpack_from(payload)
    # orjson escapes line feeds, so the first one ends the allocation.
    allocation, _, report = payload[_HEAD.size :].partition(_SPLIT)
    return Journalled(UUID(bytes=call_id), round(admitted_s * 1_000_000), allocation, report)


def _ids_in(payload: bytes) -> Iterator[UUID]:
    for start in range(1, len(payload) - 15, 16):
        yield UUID(bytes=payload[start : start + 16])


def read(folder: Path) -> Contents:
    """Every call without an end; what is damaged is counted and left out."""
    contents = Contents()
    for path in numbered(folder, JOURNAL):
        number = number_of(path)
        for _, payload in records(path.read_bytes(), damage=contents.damage):
            if payload[:1] == ADMITTED:
                call = _journalled(payload)
                contents.open[call.call_id] = call
                contents.segment[call.call_id] = number
                contents.last_us = max(contents.last_us, call.admitted_us)
            elif payload[:1] == ENDED:
                for call_id in _ids_in(payload):
                    contents.open.pop(call_id, None)
                    contents.segment.pop(call_id, None)
    return contents


def ids_between(folder: Path, start_us: int, end_us: int) -> list[UUID]:
    """The calls admitted in `[start, end)`, in order of their admission."""
    found = {call_id: admitted_us for admitted_us, call_id in admissions(folder) if start_us <= admitted_us < end_us}
    return sorted(found, key=lambda call_id: (found[call_id], call_id))


def admissions(folder: Path, *, since: int = 0) -> Iterator[tuple[int, UUID]]:
    """Time and id of all admissions that are still listed, from segment `since` on."""
    for path in [*numbered(folder, IDS), *numbered(folder, JOURNAL)]:
        if number_of(path) >= since:
            yield from _admissions_in(path)


def ended(folder: Path, call_ids: Collection[UUID]) -> list[Journalled]:
    """Those of the calls that have ended; what a listed one was allocated is no longer known."""
    listed = (call for path in numbered(folder, IDS) for call in _listed_in(path))
    still_open = read(folder).open
    written = (call for path in numbered(folder, JOURNAL) for call in _written_in(path))
    found = {call.call_id: call for call in listed if call.call_id in call_ids}
    found |= {call.call_id: call for call in written if call.call_id in call_ids and call.call_id not in still_open}
    return list(found.values())


def _written_in(path: Path) -> Iterator[Journalled]:
    for _, payload in records(path.read_bytes()):
        if payload[:1] == ADMITTED:
            yield _journalled(payload)


def _listed_in(path: Path) -> Iterator[Journalled]:
    reports: dict[int, bytes] = {}
    for _, payload in records(path.read_bytes()):
        if payload[:1] == b"R":
            _, number = _REPORT.unpack_from(payload)
            reports[number] = payload[_REPORT.size :]
        elif payload[:1] == b"I":
            for call_id, admitted_us, number in _ENTRY.iter_unpack(payload[1:]):
                if number in reports:
                    yield Journalled(UUID(bytes=call_id), admitted_us, b"[]", reports[number])


def _admissions_in(path: Path) -> Iterator[tuple[int, UUID]]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        # It was replaced by its ids since the folder was listed.
        content = path.with_suffix(IDS).read_bytes() if path.with_suffix(IDS).exists() else b""
    for _, payload in records(content):
        if payload[:1] == ADMITTED:
            _, call_id, admitted_s = _HEAD.unpack_from(payload)
            yield round(admitted_s * 1_000_000), UUID(bytes=call_id)
        elif payload[:1] == b"I":
            for call_id, admitted_us, _ in _ENTRY.iter_unpack(payload[1:]):
                yield admitted_us, UUID(bytes=call_id)


class Listing:
    """A segment's admissions as their list will hold them, 28 bytes each.

    The journal makes it while it writes: to read a segment again keeps the interpreter from calls.
    """

    __slots__ = ("_entries", "_reports")

    def __init__(self) -> None:
        self._entries = bytearray()
        self._reports: dict[bytes, int] = {}

    def add(self, call_id: UUID, admitted_us: int, report: bytes) -> None:
        number = self._reports.setdefault(report, len(self._reports))
        self._entries += _ENTRY.pack(call_id.int.to_bytes(16, "big"), admitted_us, number)

    def records(self) -> Iterator[bytes]:
        for report, number in self._reports.items():
            yield framed(_REPORT.pack(b"R", number) + report)
        size = _IDS_PER_RECORD * _ENTRY.size
        for start in range(0, len(self._entries), size):
            yield framed(b"I" + self._entries[start : start + size])


def _listing_of(path: Path) -> Listing:
    listing = Listing()
    for call in _written_in(path):
        listing.add(call.call_id, call.admitted_us, call.report)
    return listing


def reduce_to_ids(folder: Path, number: int, listing: Listing | None = None) -> None:
    """Replace a closed segment, all of whose calls have ended, by the list of its admissions."""
    path = path_of(folder, number, JOURNAL)
    replaced(path_of(folder, number, IDS), b"".join((listing or _listing_of(path)).records()))
    path.unlink()


def forget_before(folder: Path, instant_s: float) -> int:
    """Delete lists of admissions that nobody may ask for any more; how many."""
    old = [path for path in numbered(folder, IDS) if path.stat().st_mtime < instant_s]
    for path in old:
        path.unlink()
    return len(old)


class Counted(NamedTuple):
    """The last minute since 1970 whose count was published, and the first segment that holds later admissions."""

    minute: int
    since: int


def counted(folder: Path) -> Counted | None:
    """None before the first; then all minutes of the journal are to be counted."""
    try:
        minute, since = (folder / _COUNTED).read_bytes().split()
        return Counted(int(minute), int(since))
    except (FileNotFoundError, ValueError):
        return None


def note_counted(folder: Path, counted: Counted) -> None:
    replaced(folder / _COUNTED, b"%d %d" % counted)

"""The journal of admissions: written before a call is dispatched, so that a crash cannot hide it (money.md 11).

A `write` without waiting for the disk: what it has taken survives the process. All that is journalled in one turn of
the loop leaves in one write. A disk that is full or broken refuses calls until it takes records again.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final
from uuid import UUID

from gateway.admission.types import Admitted
from gateway.usage import journal_files as files
from gateway.usage import metrics
from gateway.usage.journal_files import Journalled, admitted_payload, ended_payload
from gateway.usage.segments import SegmentWriter, framed, number_of, numbered, path_of
from kit import logging
from kit.errors import UnavailableError

log = logging.get(__name__)

SEGMENT_BYTES: Final = 32 << 20
SEGMENT_S: Final = 3600.0
MINUTE_S: Final = 60
KEPT_S: Final = 48 * 3600.0

Written = Callable[[Exception | None], None]


class JournalError(UnavailableError):
    """The admission could not be written down, so the call may not be dispatched."""

    code = "journal_unavailable"

    def __init__(self) -> None:
        super().__init__("Calls cannot be recorded at the moment; try again.", retry_after_s=1)


class Journal:
    """One per process, in a folder that the process holds. `open` reads what an earlier process left in it."""

    def __init__(
        self, folder: Path, *, kept_s: float = KEPT_S, segment_bytes: int = SEGMENT_BYTES, segment_s: float = SEGMENT_S
    ) -> None:
        self.folder = folder
        self._kept_s = kept_s
        self._segment_bytes = segment_bytes
        self._segment_s = segment_s
        self._writer: SegmentWriter | None = None
        self._number = 0
        self._opened_at = 0.0
        # By the ids' integers: a UUID is hashed in Python, on each look-up anew.
        self._open: dict[int, int] = {}
        self._open_in: Counter[int] = Counter()
        self._closed: list[int] = []
        self._minutes: Counter[int] = Counter()
        self._first: dict[int, int] = {}
        self._records: list[bytes] = []
        self._waiting: list[tuple[UUID, float, bytes, Written]] = []
        self._listings: dict[int, files.Listing] = {}
        self._ended: list[UUID] = []
        self._flushing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._counted_until = 0
        self.is_broken = False

    @property
    def open_calls(self) -> int:
        """Journalled calls whose end is not stored."""
        return len(self._open)

    def start(self) -> list[Journalled]:
        """Read what is there and begin a new segment; the calls that have no end. Raises `OSError`; blocks."""
        contents = files.read(self.folder)
        self._closed = [number_of(path) for path in numbered(self.folder, files.JOURNAL)]
        self._open = {call_id.int: number for call_id, number in contents.segment.items()}
        self._open_in = Counter(contents.segment.values())
        listed = [number_of(path) for path in numbered(self.folder, files.IDS)]
        self._number = max([0, *self._closed, *listed])
        self._read_minutes()
        if contents.damage.places:
            metrics.DAMAGED.labels("journal").inc(contents.damage.bytes_skipped)
            log.warning("gateway.journal_was_damaged", bytes_skipped=contents.damage.bytes_skipped)
        self._begin_segment()
        return list(contents.open.values())

    def admitted_soon(self, admitted: Admitted, *, report: bytes, then: Written) -> None:
        """`then(None)` once the admission is written, else `then(JournalError)`: the call may not be dispatched."""
        call_id: UUID = admitted.call_id
        admitted_s = admitted.admitted_at.timestamp()
        payload = admitted_payload(call_id, admitted_s, allocation=admitted.allocation, report=report)
        self._records.append(framed(payload))
        self._waiting.append((call_id, admitted_s, report, then))
        if not self._flushing:
            self._flush_soon()

    def write_waiting(self) -> None:
        """What was journalled up to here, not only at the end of this turn."""
        if self._flushing:
            self._flush()

    def admitted(self, admitted: Admitted, *, report: bytes) -> None:
        """The same at once; raises `JournalError`."""
        failed: list[Exception | None] = []
        self.admitted_soon(admitted, report=report, then=failed.append)
        self._flush()
        if failed[0] is not None:
            raise failed[0]

    def ended(self, call_ids: Iterable[UUID]) -> None:
        """The calls' events are stored; written with the next admissions, or in the next turn of the loop."""
        self._ended += call_ids
        if not self._flushing:
            self._flush_soon()

    @property
    def kept_minutes(self) -> int:
        """For how many minutes it can say which calls were admitted."""
        return int(self._kept_s // 60)

    def admitted_in(self, minute: int) -> int:
        """How many calls were admitted in a minute since 1970, by Redis's clock."""
        return self._minutes[minute]

    def minutes(self) -> list[int]:
        """The minutes in which calls were admitted and that are not forgotten."""
        return list(self._minutes)

    def _read_minutes(self) -> None:
        counted = files.counted(self.folder)
        if counted is not None:
            self._counted_until = counted.minute + 1
        for admitted_us, _ in files.admissions(self.folder, since=counted.since if counted else 0):
            minute = admitted_us // files.MINUTE_US
            if minute >= self._counted_until:
                self._minutes[minute] += 1
                self._first[minute] = counted.since if counted else 0

    async def counted(self, minute: int) -> None:
        """The minute was told; an admission that comes for it after this is an alarm."""
        self._counted_until = minute + 1
        for old in [old for old in self._minutes if old <= minute]:
            del self._minutes[old]
            self._first.pop(old, None)
        since = min(self._first.values(), default=self._number)
        await asyncio.to_thread(files.note_counted, self.folder, files.Counted(minute, since))

    def _flush_soon(self) -> None:
        self._flushing = True
        # Asking for the running loop is a system call each time.
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        records, self._records = self._records, []
        waiting, self._waiting = self._waiting, []
        ended, self._ended = self._ended, []
        if ended:
            records.append(framed(ended_payload(ended)))
        if not records:
            return
        error = self._write(b"".join(records))
        if error is None:
            number, minutes = self._number, self._minutes
            listing = self._listings[number]
            for call_id, admitted_s, report, _ in waiting:
                self._open[call_id.int] = number
                listing.add(call_id, round(admitted_s * 1_000_000), report)
                minute = int(admitted_s // MINUTE_S)
                if minute in minutes:
                    minutes[minute] += 1
                else:
                    self._begin_minute(minute)
            self._open_in[number] += len(waiting)
            self._forget(ended)
        else:
            # The ends stay to be written; until then a crash would report these calls twice, which is harmless.
            self._ended = ended + self._ended
        for _, _, _, then in waiting:
            then(error)

    def _begin_minute(self, minute: int) -> None:
        self._minutes[minute] = 1
        self._first[minute] = self._number
        if minute < self._counted_until:
            metrics.LATE.inc()
            log.error("gateway.admission_came_after_its_minute_was_counted", minute=minute)

    def _forget(self, ended: list[UUID]) -> None:
        for call_id in ended:
            number = self._open.pop(call_id.int, None)
            if number is not None:
                self._open_in[number] -= 1

    def _write(self, content: bytes) -> JournalError | None:
        try:
            if self._writer is None or self._writer.size >= self._segment_bytes:
                self._begin_segment()
            assert self._writer is not None
            self._writer.append(content)
        except OSError as error:
            self._mark(broken=True, reason=error.strerror)
            return JournalError()
        if self.is_broken:
            self._mark(broken=False, reason=None)
        return None

    def _mark(self, *, broken: bool, reason: str | None) -> None:
        if broken != self.is_broken:
            log.error("gateway.journal_state_changed", broken=broken, reason=reason)
        self.is_broken = broken
        metrics.JOURNAL_BROKEN.set(broken)

    def _begin_segment(self) -> None:
        writer = SegmentWriter(path_of(self.folder, self._number + 1, files.JOURNAL))
        if self._writer is not None:
            self._writer.close()
            self._closed.append(self._number)
        self._number += 1
        self._listings[self._number] = files.Listing()
        self._writer = writer
        self._opened_at = time.monotonic()

    async def maintain(self) -> None:
        """Rotate, list what has ended, forget what is too old, and try a broken disk again."""
        if self.is_broken:
            self._write(framed(files.NOTHING))
            self.ended(())
        if self._writer is not None and self._writer.size and time.monotonic() - self._opened_at >= self._segment_s:
            self._rotate()
        # In order: an end may stand in a later segment than its call, and is needed as long as that one is.
        while self._closed and not self._open_in[self._closed[0]]:
            number = self._closed.pop(0)
            self._open_in.pop(number, None)
            listing = self._listings.pop(number, None)
            await asyncio.to_thread(files.reduce_to_ids, self.folder, number, listing)
        await asyncio.to_thread(files.forget_before, self.folder, time.time() - self._kept_s)

    def _rotate(self) -> None:
        try:
            self._begin_segment()
        except OSError as error:
            self._mark(broken=True, reason=error.strerror)

    async def retire(self) -> bool:
        """Nothing is open: leave only the list of admissions. False, and nothing done, while something is."""
        self.close()
        if self._open:
            return False
        for path in numbered(self.folder, files.JOURNAL):
            number = number_of(path)
            await asyncio.to_thread(files.reduce_to_ids, self.folder, number, self._listings.pop(number, None))
        return True

    def close(self) -> None:
        """Write what waits and let go of the file."""
        self._flush()
        if self._writer is not None:
            self._writer.sync()
            self._writer.close()
            self._writer = None

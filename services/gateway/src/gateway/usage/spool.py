"""Where events wait that Kafka does not take: written and synced to disk, then sent when Kafka answers again.

Events are independent facts with ids of their own, so one that Kafka took directly may overtake older ones of its
account that still lie here: the ledger burns each inside its allocation, whatever order they come in (money.md 9).
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar
from uuid import UUID

from gateway.usage import metrics
from gateway.usage import spool_files as files
from gateway.usage.outgoing import Outgoing, unspooled
from gateway.usage.segments import Damage, SegmentWriter, number_of, numbered, path_of, records, sync_folder
from gateway.usage.spool_files import Position, Waiting
from kit import logging

log = logging.get(__name__)

MOST_BYTES: Final = 1 << 30
SEGMENT_BYTES: Final = 16 << 20
FREE_BYTES: Final = 64 << 20
_READ_BYTES: Final = 1 << 19
_AT_ONCE: Final = 500

Stored = Callable[[Sequence[Outgoing], bool], None]
T = TypeVar("T")


class Spool:
    """One per process. All work on its files happens in one thread; `store_soon` may be called from the loop only."""

    def __init__(
        self,
        folder: Path,
        *,
        most_bytes: int = MOST_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
        free_bytes: int = FREE_BYTES,
    ) -> None:
        self.folder = folder
        self._most_bytes = most_bytes
        self._segment_bytes = segment_bytes
        self._free_bytes = free_bytes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._writer: SegmentWriter | None = None
        self._number = 0
        self._position = Position(0, 0)
        self._waiting: list[tuple[Sequence[Outgoing], Stored]] = []
        self._writing = False
        self._pending_bytes = 0
        self._bytes = 0
        self.is_broken = False
        self.events = 0

    @property
    def used_bytes(self) -> int:
        """On disk, and on the way there."""
        return self._bytes + self._pending_bytes

    def has_room(self, reserved_bytes: int) -> bool:
        """Whether as much more would fit (money.md 11)."""
        return not self.is_broken and self.used_bytes + reserved_bytes <= self._most_bytes

    def start(self) -> set[UUID]:
        """Read what an earlier process left: the ids of its events. Raises `OSError`; blocks."""
        segments = [number_of(path) for path in numbered(self.folder, files.SPOOL)]
        self._position = files.position_in(self.folder)
        self._number = max([0, self._position.segment, *segments])
        waiting = files.waiting_in(self.folder)
        self._bytes = files.size_of(self.folder)
        self.events = waiting.events
        if waiting.damage.places:
            metrics.DAMAGED.labels("spool").inc(waiting.damage.bytes_skipped)
            log.error("gateway.spool_was_damaged", bytes_skipped=waiting.damage.bytes_skipped)
        self._report()
        return waiting.ids

    async def adopt(self, folder: Path) -> set[UUID]:
        """Take over the segments of a process that is no more: the ids of the events in them."""
        found = await self._in_thread(self._take, folder)
        self._bytes = await self._in_thread(files.size_of, self.folder)
        self.events += found.events
        self._report()
        return found.ids

    def _take(self, folder: Path) -> Waiting:
        found = files.waiting_in(folder)
        # What is written from now on follows in a file of its own.
        self._close_writer()
        for path in numbered(folder, files.SPOOL):
            self._number += 1
            path.replace(path_of(self.folder, self._number, files.SPOOL))
        sync_folder(self.folder)
        sync_folder(folder)
        return found

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def store_soon(self, events: Sequence[Outgoing], then: Stored) -> None:
        """`then(events, True)` once they are on disk; one sync serves all that waits."""
        self._waiting.append((events, then))
        self._pending_bytes += sum(event.spooled_bytes for event in events)
        if not self._writing:
            self._write_waiting()

    def _write_waiting(self) -> None:
        self._writing = True
        groups, self._waiting = self._waiting, []
        taken_bytes, loop = self._pending_bytes, asyncio.get_running_loop()
        done = partial(self._written, groups, taken_bytes)
        self._thread.submit(self._write, [event for events, _ in groups for event in events]).add_done_callback(
            lambda future: loop.call_soon_threadsafe(done, future)
        )

    def _write(self, events: Sequence[Outgoing]) -> int:
        content = b"".join([event.spooled() for event in events])
        if self._writer is None or self._writer.size >= self._segment_bytes:
            self._begin_segment()
        assert self._writer is not None
        try:
            self._writer.append(content)
            self._writer.sync()
        except OSError:
            # What a failed sync has kept is not known: the next attempt begins a file of its own.
            self._writer.close()
            self._writer = None
            raise
        return len(content)

    def _begin_segment(self) -> None:
        writer = SegmentWriter(path_of(self.folder, self._number + 1, files.SPOOL))
        sync_folder(self.folder)
        if self._writer is not None:
            self._writer.close()
        self._number += 1
        self._writer = writer

    def _written(self, groups: list[tuple[Sequence[Outgoing], Stored]], taken: int, future: "Future[int]") -> None:
        error = future.exception()
        self._pending_bytes -= taken
        if error is None:
            self._bytes += future.result()
            self.events += sum(len(events) for events, _ in groups)
        self._mark(error)
        self._writing = False
        if self._waiting:
            self._write_waiting()
        for events, then in groups:
            then(events, error is None)

    def _mark(self, error: BaseException | None) -> None:
        if self.is_broken != (error is not None):
            reason = None if error is None else f"{type(error).__name__} {getattr(error, 'errno', '')}"
            log.error("gateway.spool_state_changed", broken=error is not None, reason=reason)
        self.is_broken = error is not None
        self._report()

    def _report(self) -> None:
        metrics.SPOOL_BYTES.set(self._bytes)

    async def next_batch(self) -> tuple[list[Outgoing], Position]:
        """The oldest events that are not acknowledged; none when all are."""
        found = await self._in_thread(self._read_batch)
        if not found[0]:
            self._bytes = self.events = 0
            self._report()
        return found

    def _read_batch(self) -> tuple[list[Outgoing], Position]:
        for path in numbered(self.folder, files.SPOOL):
            number = number_of(path)
            if number < self._position.segment:
                continue
            start = self._position.offset if number == self._position.segment else 0
            payloads, end = _read(path, start)
            if payloads:
                return [unspooled(payload)[0] for payload in payloads], Position(number, end)
        self._clear()
        return [], self._position

    def _clear(self) -> None:
        """Nothing is left that can be read; nothing can be written meanwhile, for this is the one thread."""
        self._close_writer()
        for path in numbered(self.folder, files.SPOOL):
            path.unlink()

    async def acknowledged(self, position: Position, events: int) -> None:
        """Kafka has everything before: forget it, and the segments that hold nothing else."""
        self._bytes = await self._in_thread(self._advance, position)
        self.events = max(0, self.events - events)
        self._report()

    def _advance(self, position: Position) -> int:
        self._position = position
        files.note_position(self.folder, position)
        for path in numbered(self.folder, files.SPOOL):
            number = number_of(path)
            at_end = number == position.segment and path.stat().st_size <= position.offset
            if number < position.segment or at_end:
                if self._writer is not None and self._writer.path == path:
                    self._close_writer()
                path.unlink()
        return files.size_of(self.folder)

    async def set_aside(self, event: Outgoing) -> None:
        """Kafka will never take it: kept beside the spool, so that somebody can look; an alarm."""
        metrics.SET_ASIDE.inc()
        await self._in_thread(self._set_aside, event)

    def _set_aside(self, event: Outgoing) -> None:
        writer = SegmentWriter(self.folder / "refused")
        try:
            writer.append(event.spooled())
            writer.sync()
        finally:
            writer.close()

    async def try_again(self) -> None:
        """Whether the disk takes a file again, and whether it has space to spare."""
        try:
            await self._in_thread(self._probe)
        except OSError as error:
            self._mark(error)
        else:
            self._mark(None)

    def _probe(self) -> None:
        disk = os.statvfs(self.folder)
        if disk.f_bavail * disk.f_frsize < self._free_bytes:
            raise OSError(28, "the disk is nearly full")
        if self.is_broken:
            scratch = self.folder / "probe"
            writer = SegmentWriter(scratch)
            try:
                writer.append(bytes(1 << 16))
                writer.sync()
            finally:
                writer.close()
                scratch.unlink()

    async def report_age(self) -> None:
        """How long the oldest segment has waited; past `spool_age_s` somebody should look."""
        oldest_s = await self._in_thread(files.oldest_s, self.folder)
        metrics.SPOOL_AGE.set(0 if oldest_s is None else max(0.0, time.time() - oldest_s))

    async def unacknowledged(self) -> AsyncIterator[list[tuple[Outgoing, bytes]]]:
        """Every event that waits, with its memo, some at a time; raises `OSError`."""
        waiting = await self._in_thread(files.unacknowledged, self.folder)
        while some := await self._in_thread(lambda: list(islice(waiting, _AT_ONCE))):
            yield some

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *arguments))

    def close(self) -> None:
        """Wait for what is being written."""
        self._thread.shutdown(wait=True)
        self._close_writer()


def _read(path: Path, start: int) -> tuple[list[bytes], int]:
    """Some of a segment's records, and the offset behind them."""
    with path.open("rb") as file:
        file.seek(start)
        content = file.read(_READ_BYTES)
        found = _whole(content)
        if not found[0] and len(content) == _READ_BYTES:
            found = _whole(content + file.read())
    payloads, end = found
    return payloads, start + end


def _whole(content: bytes) -> tuple[list[bytes], int]:
    payloads, end = [], 0
    for end, payload in records(content, damage=Damage()):  # noqa: B007  # the last one is wanted
        payloads.append(payload)
    return payloads, end

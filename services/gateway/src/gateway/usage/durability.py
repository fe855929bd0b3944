"""All that makes usage durable in one process: its folder, journal, spool, the way to Kafka, and what tells of them."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from gateway.usage import journal_files
from gateway.usage.counts import CallCounter
from gateway.usage.folders import InstanceFolder, unheld
from gateway.usage.journal import KEPT_S, Journal
from gateway.usage.journal_files import Journalled
from gateway.usage.kafka import CLOSE_TIMEOUT_S
from gateway.usage.links import Links
from gateway.usage.publisher import BOUND_S, LINGER_S, SpooledCall, UsagePublisher
from gateway.usage.publisher import STOP_S as PUBLISHER_STOP_S
from gateway.usage.recovery import count_left_minutes, end_journal, report_orphans
from gateway.usage.refusals import RefusalCounts
from gateway.usage.replay import Replay
from gateway.usage.retention import MOST_SPOOL_AGE_S, refuse_short_retention
from gateway.usage.segments import numbered
from gateway.usage.spool import MOST_BYTES, Spool
from kit import logging
from kit.clock import Clock
from kit.tasks import Tasks

log = logging.get(__name__)

_LOOK_S: Final = 1.0
_RECOVER_S: Final = 5.0
_TIDY_S: Final = 3600.0
_TELL_S: Final = 5.0
STOP_S: Final = _TELL_S + PUBLISHER_STOP_S + CLOSE_TIMEOUT_S
"""The longest that `Durability.stop` waits for Kafka and the disk."""


@dataclass(frozen=True, slots=True)
class DurabilitySettings:
    """What an operator may set."""

    state_dir: Path
    spool_bytes: int = MOST_BYTES
    spool_age_s: float = MOST_SPOOL_AGE_S
    journal_kept_s: float = KEPT_S
    linger_s: float = LINGER_S
    bound_s: float = BOUND_S


class Durability:
    """Started before calls are admitted, stopped after the last of them has ended."""

    def __init__(self, settings: DurabilitySettings, *, bootstrap: str, instance: str, clock: Clock) -> None:
        self._settings = settings
        self._bootstrap = bootstrap
        self.instance = instance
        self.folder = InstanceFolder.of(settings.state_dir, instance)
        self.journal = Journal(self.folder.journal, kept_s=settings.journal_kept_s)
        self.spool = Spool(self.folder.spool, most_bytes=settings.spool_bytes)
        self.links = Links(bootstrap, client_id=instance)
        self.replay = Replay(self.spool, self.links)
        self.publisher = UsagePublisher(
            self.links,
            instance=instance,
            spool=self.spool,
            journal=self.journal,
            linger_s=settings.linger_s,
            bound_s=settings.bound_s,
        )
        self.refusals = RefusalCounts(instance=instance, say=self.publisher, clock=clock)
        self._counter = CallCounter(self.journal, instance=instance, say=self.publisher, clock=clock)
        self._left: list[Journalled] = []
        self.spooled_at_start: frozenset[UUID] = frozenset()
        self._tasks = Tasks()
        self._opened = asyncio.Event()
        self.recovered = asyncio.Event()
        self.on_adopted: Callable[[], None] = lambda: None
        """Called when the spool has taken over calls of a process that is no more."""

    async def start(self) -> None:
        """Take the folder and read what is in it; raises `FolderInUseError`, `SpoolRetentionError` or `OSError`.

        What earlier processes left is reported in the background: it needs no Kafka to serve.
        """
        await asyncio.to_thread(self._open)
        self._opened.set()
        await self.links.connect()
        if self.links.link is not None:
            await refuse_short_retention(self._bootstrap, most_age_s=self._settings.spool_age_s)
        self._counter.begin()
        self.publisher.look_for_room()
        self._tasks.start("kafka-link", self.links.run())
        self._tasks.start("usage-watch", self.publisher.watch())
        self._tasks.start("spool-replay", self.replay.run())
        self._tasks.start("journal-keeping", self._keep())
        self._tasks.start("calls-left-behind", self._recover())
        self._tasks.start("calls-counted", self._counter.run())
        self._tasks.start("refusals-counted", self.refusals.run())

    def _open(self) -> None:
        self.folder.hold()
        self.spooled_at_start = frozenset(self.spool.start())
        self._left = self.journal.start()

    async def spooled(self) -> AsyncIterator[list[SpooledCall]]:
        """`UsagePublisher.spooled`, once the spool of an earlier start is read."""
        await self._opened.wait()
        async for some in self.publisher.spooled():
            yield some

    async def live(self) -> None:
        """Raise `RuntimeError` when a background task has ended."""
        await self._tasks.live()

    async def ready(self) -> None:
        """Raise `RuntimeError` while calls could not be recorded."""
        await self.publisher.ready()

    async def journalled(self, instance: str, *, start: datetime, end: datetime) -> list[UUID] | None:
        """The calls that an instance of this state folder admitted in `[start, end)`; None for an unknown one."""
        folder = InstanceFolder.of(self._settings.state_dir, instance)
        if not folder.journal.is_dir():
            return None
        window = journal_files.microseconds_of(start), journal_files.microseconds_of(end)
        return await asyncio.to_thread(journal_files.ids_between, folder.journal, *window)

    async def report_lost(self, instance: str, call_ids: Collection[UUID]) -> list[UUID] | None:
        """Publish `orphaned` for calls whose own event was durable once and is nowhere now; those that are reported.

        A call that is open still gets its end from whoever has it. None for an instance that is not of this folder.
        """
        folder = InstanceFolder.of(self._settings.state_dir, instance)
        if not folder.journal.is_dir():
            return None
        found = await asyncio.to_thread(journal_files.ended, folder.journal, frozenset(call_ids))
        reported: list[UUID] = []
        await report_orphans(found, instance=instance, recorder=self.publisher, ended=reported.extend)
        return reported

    async def stop(self) -> None:
        """Everything that waits is acknowledged or spooled and synced, the locks are free."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_TELL_S):
                    await self.refusals.tell_all()
                    await self._counter.count_closed()
            await self.publisher.stop()
        except TimeoutError:
            log.error("gateway.events_left_at_stop")  # noqa: TRY400  # a trace says no more
        await self._tasks.stop()
        await self.links.close()
        await asyncio.to_thread(self.spool.close)
        self.journal.close()
        self.folder.release()

    async def _keep(self) -> None:
        tidied = time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_S)
            await self.spool.try_again()
            await self.journal.maintain()
            await self._report_unreported()
            await self.spool.report_age()
            if time.monotonic() - tidied >= _TIDY_S:
                tidied = time.monotonic()
                await asyncio.to_thread(tidy, self._settings.state_dir, kept_s=self._settings.journal_kept_s)

    async def _report_unreported(self) -> None:
        """Calls whose own event found no place, once there is place again: as orphaned, as the sweeper would."""
        calls = self.publisher.unreported
        if not calls or not self.publisher.room:
            return
        self.publisher.unreported = set()
        contents = await asyncio.to_thread(journal_files.read, self.journal.folder)
        found = [contents.open[call_id] for call_id in calls if call_id in contents.open]
        await self._report(found)

    async def _report(self, calls: list[Journalled]) -> int:
        return await report_orphans(calls, instance=self.instance, recorder=self.publisher, ended=self.journal.ended)

    async def _recover(self) -> None:
        """End what was left behind, in our own folder and in those that nobody holds; then look on now and again."""
        self.journal.ended([call.call_id for call in self._left if call.call_id in self.spooled_at_start])
        left = [call for call in self._left if call.call_id not in self.spooled_at_start]
        self._left = []
        while left and await self._report(left):  # noqa: ASYNC110  # it is the sleep between two attempts
            await asyncio.sleep(_RECOVER_S)
        while True:
            await self._adopt_all()
            self.spooled_at_start = frozenset()
            self.recovered.set()
            await asyncio.sleep(_RECOVER_S)

    async def _adopt_all(self) -> None:
        for folder in unheld(self._settings.state_dir):
            if needs_adoption(folder):
                await adopt(folder, into=self)


def needs_adoption(folder: InstanceFolder) -> bool:
    return bool(numbered(folder.journal, journal_files.JOURNAL) or numbered(folder.spool, ".spool"))


async def adopt(folder: InstanceFolder, *, into: Durability) -> bool:
    """End the calls and take over the events of a process that is no more; its folder is held by the caller."""
    # Somebody may have taken over the events before, and died before the calls were ended.
    adopted = await into.spool.adopt(folder.spool)
    if adopted:
        into.on_adopted()
    spooled = adopted | into.spooled_at_start
    journal = Journal(folder.journal)
    recorder, instance = into.publisher, folder.instance
    left = await end_journal(journal, instance=instance, spooled=spooled, recorder=recorder)
    told = not left and await count_left_minutes(journal, instance=instance, recorder=recorder)
    if told:
        await journal.retire()
    journal.close()
    log.warning("gateway.journal_adopted", instance=instance, calls_left=left)
    return told


def tidy(state: Path, *, kept_s: float) -> None:
    """Delete the folders of processes that are no more and whose admissions nobody may ask for any more."""
    for folder in unheld(state):
        journal_files.forget_before(folder.journal, time.time() - kept_s)
        if not numbered(folder.journal, journal_files.IDS) and not needs_adoption(folder):
            shutil.rmtree(folder.path, ignore_errors=True)

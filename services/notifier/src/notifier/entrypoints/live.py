"""Feeds as they grow: one look at the database serves everybody in this process who watches."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from kit import logging
from kit.clock import Clock
from kit.database import Database
from notifier import metrics
from notifier.adapters.rendering import Renderer
from notifier.domain.feeding import Reader, Told
from notifier.errors import PermanentError, TooManyStreamsError
from notifier.schemas.feed import Notification
from notifier.service import feed

log = logging.get(__name__)

MOST_WAITING: Final = 200
MOST_STREAMS: Final = 5


@dataclass(eq=False)
class Watcher:
    """One stream. When its reader is too slow it ends, to be taken up again by id."""

    reader: Reader
    seen: set[UUID] = field(default_factory=set)
    told: asyncio.Queue[Told] = field(default_factory=lambda: asyncio.Queue(MOST_WAITING))
    overrun: bool = False


class LiveFeeds:
    """Looks for new notices while somebody watches, at once after a commit of ours and each second for others'."""

    def __init__(self, *, database: Database, renderer: Renderer, clock: Clock, poll_s: float = 1.0) -> None:
        self._database = database
        self._renderer = renderer
        self._clock = clock
        self._poll_s = poll_s
        self._watchers: set[Watcher] = set()
        self._wake = asyncio.Event()
        self._known: dict[UUID, None] = {}

    def wake(self) -> None:
        self._wake.set()

    def notification(self, told: Told, *, language: str) -> Notification:
        """The notice in words; a template that cannot be filled costs only the summary."""
        try:
            summary = self._renderer.subject(told.kind, told.payload, locale=language)
        except PermanentError:
            summary = ""
        return Notification.of(told, summary=summary, language=language)

    def check_room(self, reader: Reader) -> None:
        """Raises `TooManyStreamsError`."""
        if sum(one.reader.user_id == reader.user_id for one in self._watchers) >= MOST_STREAMS:
            raise TooManyStreamsError(f"At most {MOST_STREAMS} streams at once.", retry_after_s=5)

    async def follow(self, reader: Reader, *, last: UUID | None, silence_s: float) -> AsyncIterator[Told | None]:
        """None once nothing can be missed any more, what came after `last`, then what comes; None after silence.

        A notice may come twice round the place where a stream was taken up; its id tells.
        """
        with self._watching(reader) as watcher:
            missed = await self._missed(watcher, last)
            yield None
            for told in missed:
                yield told
            while not watcher.overrun:
                try:
                    told = await asyncio.wait_for(watcher.told.get(), silence_s)
                except TimeoutError:
                    yield None
                    continue
                if told.id not in watcher.seen:
                    yield told

    async def _missed(self, watcher: Watcher, last: UUID | None) -> list[Told]:
        """Without `last` a stream begins now: what can be listed from now on is not told again."""
        async with self._database.reading() as session:
            recent = await feed.list_new(session, self._clock.now() - feed.OVERLAP)
            missed = await feed.list_since(session, watcher.reader, last) if last else []
        watcher.seen |= {told.id for told, _, _ in recent} | {told.id for told in missed}
        return missed

    @contextmanager
    def _watching(self, reader: Reader) -> Iterator[Watcher]:
        watcher = Watcher(reader)
        self._watchers.add(watcher)
        metrics.STREAMS.set(len(self._watchers))
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            metrics.STREAMS.set(len(self._watchers))

    async def run(self) -> None:
        """Hand new notices out until cancelled; PostgreSQL away means waiting longer."""
        while True:
            self._wake.clear()
            if self._watchers:
                try:
                    await self._hand_out()
                except (SQLAlchemyError, OSError, TimeoutError) as error:
                    log.warning("notifier.feed_delayed", reason=type(error).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._poll_s)

    async def _hand_out(self) -> None:
        since = self._clock.now() - feed.OVERLAP
        async with self._database.reading() as session:
            found = await feed.list_new(session, since)
        for told, account_id, user_id in found:
            if told.id in self._known:
                continue
            for watcher in self._watchers:
                if watcher.reader.sees(told.kind, account_id=account_id, user_id=user_id):
                    _offer(watcher, told)
        self._known = dict.fromkeys(told.id for told, _, _ in found)


def _offer(watcher: Watcher, told: Told) -> None:
    try:
        watcher.told.put_nowait(told)
    except asyncio.QueueFull:
        watcher.overrun = True

"""How many calls this instance admitted, told per closed minute, zero included (money.md 11, 31)."""

import asyncio
from datetime import timedelta
from typing import Final, Protocol

from contracts.event import Event
from contracts.gateway import CallsCounted
from gateway.usage import journal_files as files
from gateway.usage.journal import Journal
from kit import logging
from kit.clock import Clock
from kit.ids import fact_id

log = logging.get(__name__)

# An admission's minute is Redis's; it may be journalled a little after that minute.
LATENESS: Final = timedelta(seconds=10)
_LOOK_S: Final = 1.0


class Sayer(Protocol):
    """Where events go."""

    async def say(self, event: Event) -> bool:
        """Whether it is durable."""
        ...


def calls_counted(instance: str, minute: int, *, admitted: int) -> CallsCounted:
    """The fact about one minute since 1970; whoever states it, and however often, states the same."""
    start = files.instant_of(minute * files.MINUTE_US)
    end = start + timedelta(minutes=1)
    return CallsCounted(
        id=fact_id("calls-counted", instance, minute),
        time=end,
        gateway_instance=instance,
        window_start=start,
        window_end=end,
        admitted=admitted,
    )


def minute_of(clock: Clock) -> int:
    return files.microseconds_of(clock.now()) // files.MINUTE_US


def first_uncounted(journal: Journal) -> int | None:
    """The minute after the last one that was told, else the first one with an admission; None in a new journal."""
    counted = files.counted(journal.folder)
    return min(journal.minutes(), default=None) if counted is None else counted.minute + 1


class CallCounter:
    """Publishes the count of each minute once it is over; begins where the journal's last process left off."""

    def __init__(self, journal: Journal, *, instance: str, say: Sayer, clock: Clock) -> None:
        self._journal = journal
        self._instance = instance
        self._say = say
        self._clock = clock
        self._next: int | None = None

    def begin(self) -> None:
        """From here on every minute is counted; blocks for a moment."""
        self._next = first_uncounted(self._journal)
        if self._next is None:
            self._next = minute_of(self._clock)

    async def run(self) -> None:
        """Count until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            await self.count_closed()

    async def count_closed(self) -> None:
        """Publish all minutes that are over for good."""
        over = files.microseconds_of(self._clock.now() - LATENESS) // files.MINUTE_US
        assert self._next is not None
        while (minute := self._worth_telling(self._next, over=over)) < over:
            event = calls_counted(self._instance, minute, admitted=self._journal.admitted_in(minute))
            if not await self._say.say(event):
                return
            await self._journal.counted(minute)
            self._next = minute + 1

    def _worth_telling(self, minute: int, *, over: int) -> int:
        """From when on zeros are told: what no journal remembers is reconciled by nobody, however long time stood."""
        oldest = over - self._journal.kept_minutes
        if minute >= oldest:
            return minute
        return min((one for one in self._journal.minutes() if minute <= one < oldest), default=oldest)

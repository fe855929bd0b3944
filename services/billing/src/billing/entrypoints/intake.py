"""Stores what arrives at the same moment by one statement; nobody is answered before it is committed."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.exc import DBAPIError

from billing.domain.states import StripeEvent
from billing.service.inbox import store_events
from kit.clock import Clock
from kit.database import Database, is_transient

MOST_WAIT_S: Final = 0.5
"""Work is held up this long at most, a piece at a time, so that it never stands still."""


@dataclass(slots=True)
class _Batch:
    events: list[StripeEvent] = field(default_factory=list)
    stored: "asyncio.Task[None] | None" = None


class Intake:
    """One batch is stored while the next is collected: many webhooks at once need one connection, not one each."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.on_stored: list[Callable[[], None]] = []
        self._gate = asyncio.Lock()
        self._storing: asyncio.Task[None] | None = None
        self._next: _Batch | None = None

    async def store(self, event: StripeEvent) -> None:
        """Return once the event is kept, whoever else's it is kept with."""
        batch = self._next
        if batch is None:
            batch = self._next = _Batch()
            batch.stored = self._storing = asyncio.create_task(self._store_after(self._storing, batch))
        batch.events.append(event)
        assert batch.stored is not None
        try:
            # Shielded: a sender who leaves must not fail the others.
            await asyncio.shield(batch.stored)
        except DBAPIError as error:
            # One that the database refuses must not keep the others out.
            if is_transient(error):
                raise
            await self._store([event])

    async def give_way(self) -> None:
        """Work that can wait lets those go first who wait for an answer; one piece after the other comes through."""
        async with self._gate:
            until_s = self._clock.monotonic() + MOST_WAIT_S
            while self._is_storing() and (left_s := until_s - self._clock.monotonic()) > 0:
                assert self._storing is not None
                await asyncio.wait([self._storing], timeout=left_s)

    def _is_storing(self) -> bool:
        return self._storing is not None and not self._storing.done()

    async def _store_after(self, before: "asyncio.Task[None] | None", batch: _Batch) -> None:
        if before is not None:
            await asyncio.wait([before])
        self._next = None
        await self._store(batch.events)

    async def _store(self, events: Sequence[StripeEvent]) -> None:
        async with self._database.statement() as session:
            new = await store_events(session, events, source="webhook", now=self._clock.now())
        for wake in self.on_stored if new else ():
            wake()

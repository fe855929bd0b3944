"""Reads Stripe's list of events, for where Stripe cannot reach us; the inbox drops what a webhook brought."""

import asyncio
from collections.abc import Callable
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from billing.adapters.stripe_api import StripeApi
from billing.service import polling
from billing.service.inbox import store_events
from billing.service.reading import LISTED
from kit import logging
from kit.clock import Clock
from kit.database import Database
from kit.errors import DomainError

log = logging.get(__name__)

SWEEP_EVERY_S: Final = 3600.0
STORED_AT_ONCE: Final = 500


class Poller:
    """Asks every `every_s` seconds."""

    def __init__(
        self, database: Database, stripe: StripeApi, *, clock: Clock, every_s: float, wake: Callable[[], None]
    ) -> None:
        self._database = database
        self._stripe = stripe
        self._clock = clock
        self._every_s = every_s
        self._wake = wake

    async def run(self) -> None:
        """Poll until cancelled; Stripe or the database away means asking again later."""
        while True:
            try:
                if new := await self.poll():
                    log.info("billing.events_polled", new=new)
                    self._wake()
            except (DomainError, SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("billing.poll_delayed", reason=type(error).__name__)
            await asyncio.sleep(self._every_s)

    async def poll(self) -> int:
        """One look at the list; how many events were new."""
        async with self._database.reading() as session:
            since = await polling.next_since(session, now=self._clock.now())
        events = [event async for event in self._stripe.list_events(since, types=list(LISTED))]
        async with self._database.transaction() as session:
            return await polling.store_polled(session, events, since=since, now=self._clock.now())


class Sweeper:
    """Looks once an hour for events of the last thirty days that Stripe could not deliver, whether we poll or not."""

    def __init__(self, database: Database, stripe: StripeApi, *, clock: Clock, wake: Callable[[], None]) -> None:
        self._database = database
        self._stripe = stripe
        self._clock = clock
        self._wake = wake

    async def run(self) -> None:
        """Sweep until cancelled; Stripe or the database away means sweeping again later."""
        while True:
            try:
                if new := await self.sweep(undelivered=True):
                    log.warning("billing.gaps_healed", new=new)
                    self._wake()
            except (DomainError, SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("billing.sweep_delayed", reason=type(error).__name__)
            await asyncio.sleep(SWEEP_EVERY_S)

    async def sweep(self, *, undelivered: bool) -> int:
        """Store what the inbox does not have; how many events were missing."""
        now = self._clock.now()
        listed = self._stripe.list_events(now - polling.LONGEST_LOOK_BACK, types=list(LISTED), undelivered=undelivered)
        events, new = [event async for event in listed], 0
        for first in range(0, len(events), STORED_AT_ONCE):
            async with self._database.transaction() as session:
                new += await store_events(session, events[first : first + STORED_AT_ONCE], source="poll", now=now)
        return new

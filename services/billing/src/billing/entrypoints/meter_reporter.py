"""Tells Stripe's meter of overage and gives back what was too much, as long as the service runs."""

import asyncio
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from billing.service import stranded
from billing.service.giving_back import GivingBack
from billing.service.metering import Metering
from kit import logging
from kit.backoff import Backoff
from kit.clock import Clock
from kit.database import Database
from kit.errors import DomainError

log = logging.get(__name__)

EVERY_S: Final = 1.0
WATCH_EVERY_S: Final = 30.0


class MeterReporter:
    """Any number of these may run."""

    def __init__(self, database: Database, metering: Metering, giving_back: GivingBack, *, clock: Clock) -> None:
        self._database = database
        self._metering = metering
        self._giving_back = giving_back
        self._clock = clock
        self._watched_s = float("-inf")

    async def run(self) -> None:
        """Report until cancelled; Stripe or the database away means asking again later."""
        backoff = Backoff()
        while True:
            try:
                told = await self.once()
                backoff.reset()
            except (SQLAlchemyError, OSError, TimeoutError, DomainError) as error:
                log.warning("billing.overage_delayed", reason=type(error).__name__)
                await asyncio.sleep(backoff.next_s())
                continue
            if not told:
                await asyncio.sleep(EVERY_S)

    async def once(self) -> int:
        """Everything that is due now; how much there was."""
        done = await self._metering.once() + await self._giving_back.once()
        if self._clock.monotonic() - self._watched_s >= WATCH_EVERY_S:
            self._watched_s = self._clock.monotonic()
            async with self._database.transaction() as session:
                await stranded.watch(session, now=self._clock.now())
        return done

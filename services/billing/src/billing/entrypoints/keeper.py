"""What time does to money: states told anew, graces that end, periods that follow, payments that are due."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from billing.service.collecting import Collecting
from billing.service.pay_per_use import PayPerUse
from billing.service.standing import Standing
from billing.service.subscriptions import end_graces
from kit import logging
from kit.backoff import Backoff
from kit.clock import Clock
from kit.database import Database
from kit.errors import DomainError

log = logging.get(__name__)

EVERY_S: Final = 0.5
WATCH_EVERY_S: Final = 30.0

Step = Callable[[AsyncSession], Awaitable[int]]


class Keeper:
    """Any number of these may run: each step locks what it changes, and may be repeated."""

    def __init__(
        self,
        database: Database,
        *,
        standing: Standing,
        pay_per_use: PayPerUse,
        collecting: Collecting,
        clock: Clock,
    ) -> None:
        self._database = database
        self._standing = standing
        self._pay_per_use = pay_per_use
        self._collecting = collecting
        self._clock = clock
        self._watched_s = float("-inf")

    async def run(self) -> None:
        """Do what is due until cancelled; a database or Stripe that is away means waiting longer."""
        backoff = Backoff()
        while True:
            try:
                await self.once()
                backoff.reset()
                await asyncio.sleep(EVERY_S)
            except (SQLAlchemyError, OSError, TimeoutError, DomainError) as error:
                log.warning("billing.keeping_delayed", reason=type(error).__name__)
                await asyncio.sleep(backoff.next_s())

    async def once(self) -> None:
        """Everything that is due now."""
        for step in (self._tell, self._end_graces, self._pay_per_use.roll):
            while await self._in_transaction(step):
                pass
        await self._collecting.once()
        if self._clock.monotonic() - self._watched_s >= WATCH_EVERY_S:
            self._watched_s = self._clock.monotonic()
            await self._collecting.watch()

    async def _in_transaction(self, step: Step) -> int:
        async with self._database.transaction() as session:
            return await step(session)

    async def _tell(self, session: AsyncSession) -> int:
        return await self._standing.tell_due(session, now=self._clock.now())

    async def _end_graces(self, session: AsyncSession) -> int:
        return await end_graces(session, now=self._clock.now())

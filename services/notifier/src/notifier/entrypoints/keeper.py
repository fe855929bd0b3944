"""What time does to notices: ends that come near are told, what is old is forgotten."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from kit import logging
from kit.backoff import Backoff
from kit.clock import Clock
from kit.database import Database
from notifier.service.deliveries import forget_old
from notifier.service.noticing.subscriptions import SubscriptionNotices

log = logging.get(__name__)

EVERY_S: Final = 30.0

Step = Callable[[AsyncSession], Awaitable[int]]


class Keeper:
    """Any number of these may run: each step skips what another has locked."""

    def __init__(
        self,
        database: Database,
        *,
        subscriptions: SubscriptionNotices,
        keep_days: int,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._subscriptions = subscriptions
        self._keep = timedelta(days=keep_days)
        self._clock = clock
        self._wake = wake

    async def run(self) -> None:
        """Do what is due until cancelled; PostgreSQL away means waiting longer."""
        backoff = Backoff()
        while True:
            try:
                await self.once()
                backoff.reset()
                await asyncio.sleep(EVERY_S)
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("notifier.keeping_delayed", reason=type(error).__name__)
                await asyncio.sleep(backoff.next_s())

    async def once(self) -> None:
        """Everything that is due now, in transactions of bounded size."""
        while await self._in_transaction(self._subscriptions.remind_due):
            self._wake()
        while await self._in_transaction(self._forget):
            pass

    async def _in_transaction(self, step: Step) -> int:
        async with self._database.transaction() as session:
            return await step(session)

    async def _forget(self, session: AsyncSession) -> int:
        return await forget_old(session, before=self._clock.now() - self._keep)

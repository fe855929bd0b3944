"""Reads Stripe's list of events, for where Stripe cannot reach us; the inbox drops what a webhook brought."""

import asyncio
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from billing.adapters.stripe_api import StripeApi
from billing.service import polling
from billing.service.reading import HANDLED
from kit import logging
from kit.clock import Clock
from kit.database import Database
from kit.errors import DomainError

log = logging.get(__name__)


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
        events = [event async for event in self._stripe.list_events(since, types=list(HANDLED))]
        async with self._database.transaction() as session:
            return await polling.store_polled(session, events, since=since, now=self._clock.now())

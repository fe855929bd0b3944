"""Applies stored events in the background: lease, read from Stripe, apply, one short transaction at a time."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from billing.adapters.stripe_api import StripeApi
from billing.domain.states import StripeEvent
from billing.errors import LeaseLostError, NotOursError
from billing.service import inbox
from billing.service.applying import apply_reading
from billing.service.reading import read_again, together
from kit import logging
from kit.backoff import Backoff
from kit.clock import Clock
from kit.database import Database
from kit.errors import DomainError

log = logging.get(__name__)

BATCH: Final = 100
CUSTOMERS_AT_ONCE: Final = 4
IDLE_S: Final = 0.5


class ContradictionError(DomainError):
    """The database refuses what was read."""

    code = "contradiction"


class WebhookWorker:
    """Any number of these may run: a customer's events are applied by one at a time, in no particular order."""

    def __init__(
        self,
        database: Database,
        stripe: StripeApi,
        *,
        clock: Clock,
        give_way: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`give_way` is waited for before each piece of work."""
        self._give_way = give_way
        self._database = database
        self._stripe = stripe
        self._clock = clock
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something was stored."""
        self._wake.set()

    async def run(self) -> None:
        """Apply until cancelled."""
        backoff = Backoff()
        while True:
            self._wake.clear()
            try:
                ended = await self.apply_due()
                backoff.reset()
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("billing.webhooks_delayed", reason=type(error).__name__)
                await asyncio.sleep(backoff.next_s())
                continue
            if not ended:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), IDLE_S)

    async def apply_due(self) -> int:
        """Work through what is due; how many events came to an end or were set back."""
        async with self._database.transaction() as session:
            due = await inbox.list_due(session, now=self._clock.now(), limit=BATCH)
        by_customer: dict[str, list[StripeEvent]] = defaultdict(list)
        for event in due:
            by_customer[event.lease_key].append(event)
        places = asyncio.Semaphore(CUSTOMERS_AT_ONCE)

        async def work(key: str, events: list[StripeEvent]) -> int:
            async with places:
                try:
                    return await self._apply_customer(key, events)
                except (SQLAlchemyError, OSError, TimeoutError) as error:
                    # The events are still pending; one customer's trouble must not stop the others.
                    log.warning("billing.customer_delayed", reason=type(error).__name__)
                    return 0

        return sum(await asyncio.gather(*(work(key, events) for key, events in by_customer.items())))

    async def _apply_customer(self, key: str, events: Sequence[StripeEvent]) -> int:
        async with self._database.transaction() as session:
            lease = await inbox.take_lease(session, key, now=self._clock.now())
        if lease is None:
            return 0
        try:
            return sum([await self._apply_or_set_back(group, lease) for group in together(events)])
        finally:
            async with self._database.transaction() as session:
                await inbox.release_lease(session, lease, now=self._clock.now())

    async def _apply_or_set_back(self, events: Sequence[StripeEvent], lease: inbox.Lease) -> int:
        """Events that one reading answers."""
        try:
            await self._apply(events, lease)
        except LeaseLostError:
            return 0
        except DomainError as error:
            await self._set_back(events, error)
        except (IntegrityError, DataError) as error:
            await self._set_back(events, ContradictionError(f"The database refuses it: {type(error).__name__}."))
        return len(events)

    async def _apply(self, events: Sequence[StripeEvent], lease: inbox.Lease) -> None:
        if self._give_way is not None:
            await self._give_way()
        reading = await read_again(self._stripe, events[-1])
        heard_at = max(event.created_at for event in events)
        async with self._database.transaction() as session:
            if pending := await inbox.begin_applying(session, events, lease):
                await apply_reading(session, reading, heard_at=heard_at, now=self._clock.now())
                await inbox.mark_applied(session, pending)

    async def _set_back(self, events: Sequence[StripeEvent], error: DomainError) -> None:
        if not isinstance(error, NotOursError):
            newest = events[-1]
            log.warning("billing.webhook_set_back", event_id=newest.id, type=newest.type, code=error.code)
        async with self._database.transaction() as session:
            for event in events:
                await inbox.set_back(session, event, error, now=self._clock.now())

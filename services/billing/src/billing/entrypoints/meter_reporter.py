"""Tells Stripe's meter of overage, as long as the service runs."""

import asyncio
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from billing.service.metering import Metering
from kit import logging
from kit.backoff import Backoff
from kit.errors import DomainError

log = logging.get(__name__)

EVERY_S: Final = 1.0


class MeterReporter:
    """Any number of these may run."""

    def __init__(self, metering: Metering) -> None:
        self._metering = metering

    async def run(self) -> None:
        """Report until cancelled; Stripe or the database away means asking again later."""
        backoff = Backoff()
        while True:
            try:
                told = await self._metering.once()
                backoff.reset()
            except (SQLAlchemyError, OSError, TimeoutError, DomainError) as error:
                log.warning("billing.overage_delayed", reason=type(error).__name__)
                await asyncio.sleep(backoff.next_s())
                continue
            if not told:
                await asyncio.sleep(EVERY_S)

"""What readers need done ahead: marks that bound how far back they add up; and the watch over margins."""

import asyncio
from dataclasses import dataclass
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from kit import logging
from kit.backoff import Backoff
from kit.clock import Clock
from kit.database import Database
from ledger.service.margins import watch_margins
from ledger.service.standing import mark_balances

log = logging.get(__name__)

EVERY_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Upkeep:
    """A background task; `margin_floor_bps` None watches no margins."""

    database: Database
    clock: Clock
    margin_floor_bps: int | None

    async def run(self) -> None:
        """Go on until cancelled."""
        backoff = Backoff(first_s=0.2)
        while True:
            try:
                await self.once()
                backoff.reset()
                await asyncio.sleep(EVERY_S)
            except (SQLAlchemyError, OSError) as error:
                log.warning("ledger.upkeep_delayed", reason=type(error).__name__)
                await asyncio.sleep(backoff.next_s())

    async def once(self) -> None:
        await mark_balances(self.database)
        if self.margin_floor_bps is not None:
            async with self.database.transaction() as session:
                await watch_margins(session, self.clock, floor_bps=self.margin_floor_bps)

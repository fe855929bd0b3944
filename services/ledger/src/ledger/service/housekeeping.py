"""What the ledger sees to by itself: the first price book, partitions ahead of time."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from kit import logging
from kit.backoff import Backoff
from kit.clock import Clock
from kit.database import Database
from ledger.repository.partitions import ensure_partitions
from ledger.repository.privileges import may_rewrite
from ledger.service.catalogue import publish_first_book

log = logging.get(__name__)

EVERY_S: Final = 6 * 3600.0
LOOK_S: Final = 5.0
"""By the injected clock, which a sandbox moves by months: a wait of hours would outlast the partitions."""
MONTHS_AHEAD: Final = 3


async def make_partitions(session: AsyncSession, *, now: datetime, months_ahead: int) -> int:
    """Make the months' partitions before they are needed; how many were missing."""
    return await ensure_partitions(session, now=now, months_ahead=months_ahead)


@dataclass(frozen=True, slots=True)
class Housekeeping:
    """A background task; it owns its transactions."""

    database: Database
    clock: Clock
    price_book: Path
    look_s: float = LOOK_S

    async def run(self) -> None:
        """Look after the books until cancelled."""
        text, backoff, due_s = self.price_book.read_text(), Backoff(first_s=0.2), float("-inf")
        while True:
            try:
                if (began_s := self.clock.monotonic()) >= due_s:
                    await self._once(text)
                    due_s = began_s + EVERY_S
                    backoff.reset()
                await asyncio.sleep(self.look_s)
            except (SQLAlchemyError, OSError) as error:
                log.warning("ledger.housekeeping_delayed", reason=type(error).__name__)
                await asyncio.sleep(backoff.next_s())

    async def _once(self, text: str) -> None:
        now = self.clock.now()
        async with self.database.transaction() as session:
            await publish_first_book(session, text, now=now)
        async with self.database.reading() as session:
            if await may_rewrite(session):
                log.warning("ledger.role_may_rewrite_the_books")
        async with self.database.transaction() as session:
            made = await make_partitions(session, now=now, months_ahead=MONTHS_AHEAD)
        if made:
            log.info("ledger.partitions_made", partitions=made)

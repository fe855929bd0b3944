"""Daily heads of the chains, kept and published: whoever keeps them can show later that nothing was changed."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ledger import HeadSealed
from kit import logging, outbox
from kit.backoff import Backoff
from kit.clock import Clock
from kit.database import SOURCE, Database
from kit.ids import fact_id
from ledger.repository import sealing as repository
from ledger.repository.sealing import Head

log = logging.get(__name__)

EVERY_S: Final = 600.0
PAGE: Final = 1000
DAY: Final = timedelta(days=1)
GRACE: Final = timedelta(minutes=5)
"""What was booked before midnight is committed by then: a transaction's statements time out long before."""


@dataclass(frozen=True, slots=True)
class Sealing:
    """A background task; it owns its transactions."""

    database: Database
    clock: Clock

    async def run(self) -> None:
        """Seal each day once it is over, until cancelled."""
        backoff = Backoff(first_s=0.2)
        while True:
            try:
                await self.seal_due()
                backoff.reset()
                await asyncio.sleep(EVERY_S)
            except (SQLAlchemyError, OSError) as error:
                log.warning("ledger.sealing_delayed", reason=type(error).__name__)
                await asyncio.sleep(backoff.next_s())

    async def seal_due(self) -> int:
        """Seal every day that is over and not sealed yet, oldest first; how many heads that made.

        The first time it is yesterday; an account that did not move since its last seal gets no new one.
        """
        yesterday = (self.clock.now() - GRACE).astimezone(UTC).date() - DAY
        async with self.database.reading() as session:
            day = await repository.first_open_day(session) or yesterday
        sealed = 0
        while day <= yesterday:
            sealed += await self._seal_day(day)
            day += DAY
        return sealed

    async def _seal_day(self, day: date) -> int:
        sealed, goes_on = 0, True
        while goes_on:
            async with self.database.transaction() as session:
                page = await seal_page(session, day, now=self.clock.now())
            sealed += page or 0
            goes_on = page is not None
        return sealed


async def seal_page(session: AsyncSession, day: date, *, now: datetime) -> int | None:
    """Seal the next accounts' heads at the end of a day; None once the day is done."""
    after = await repository.begin_day(session, day)
    if after is None:
        return None
    ends_at = datetime.combine(day + DAY, time(), UTC)
    heads = await repository.list_heads(session, after=after, accounts=PAGE, ends_at=ends_at)
    await repository.insert_seals(session, heads, day=day, now=now)
    source = session.info[SOURCE]
    await outbox.add_records(
        session,
        [(event.type, event.key.encode(), event.encode(source)) for event in (_event(h, day, now) for h in heads)],
    )
    await repository.end_page(
        session, day, last=await repository.find_last_account(session, after=after, accounts=PAGE)
    )
    return len(heads)


def _event(head: Head, day: date, now: datetime) -> HeadSealed:
    return HeadSealed(
        id=fact_id("head", head.account_id, day.isoformat()),
        time=now,
        account_id=head.account_id,
        version=day.toordinal(),
        day=day.isoformat(),
        sequence=head.sequence,
        hash_hex=head.hash.hex(),
        balance_nano=head.balance_nano,
    )

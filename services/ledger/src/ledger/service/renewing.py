"""What time does to accounts that nobody touches; in steps that are small and may be repeated."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ledger import OverageAccrued
from contracts.money import Unit
from kit import logging, outbox
from kit.backoff import Backoff
from kit.clock import Clock
from kit.database import Database
from kit.errors import DomainError
from kit.ids import fact_id
from ledger.domain.book import AccountBook
from ledger.domain.overage import hour_of, quantity_of
from ledger.domain.rates import days_left, is_spike, passed_days, per_day
from ledger.domain.thresholds import Crossing, parse_levels
from ledger.repository import renewing as repository
from ledger.repository.accounts import list_due
from ledger.repository.overage import announce_hours, list_owing
from ledger.service.catalogue import Catalogue, list_books
from ledger.service.saving import crossed_event, lock_books, save

log = logging.get(__name__)

STEP: Final = 200
EVERY_S: Final = 5.0
LOOK_EVERY: Final = timedelta(hours=1)
GRACE: Final = timedelta(minutes=5)
"""How long after an hour its overage waits for calls that were under way."""
HISTORY: Final = timedelta(days=8)


@dataclass(frozen=True, slots=True)
class Renewing:
    """Each method is one step in one transaction, and answers how many accounts it had to do with."""

    catalogue: Catalogue
    clock: Clock

    async def settle_due(self, session: AsyncSession) -> int:
        """Close periods, book what expired, give what the next period brings."""
        now = self.clock.now()
        due = await list_due(session, now=now, limit=STEP)
        return await self._save(session, due, now=now)

    async def announce_overage(self, session: AsyncSession) -> int:
        """State each hour of overage once it is over; what an hour leaves of a unit is carried on to the next."""
        now = self.clock.now()
        before = hour_of(now - GRACE)
        owing = await list_owing(session, before=before, limit=STEP)
        if not owing:
            return 0
        books = await lock_books(session, owing, alive_at=now, now=now, catalogue=self.catalogue)
        rows = await announce_hours(session, owing, before=before, now=now)
        await outbox.add(session, *(_accrued(books[row.account_id], row, now=now) for row in rows))
        await save(session, list(books.values()), catalogue=self.catalogue, now=now)
        return len(books)

    async def reannounce_markup(self, session: AsyncSession) -> int:
        """Tell the accounts on the price book's markup that it has changed (money.md 4)."""
        now = self.clock.now()
        in_force = [row.version for row in await list_books(session) if row.effective_at <= now]
        if len(in_force) < 2:
            return 0
        version = max(in_force)
        known = await self.catalogue.books(session)
        is_same = known[version].markup_bps == known[sorted(in_force)[-2]].markup_bps
        await repository.insert_reannouncement(session, version, finished_at=now if is_same else None)
        progress = await repository.find_reannouncement(session, version)
        if progress is None or progress.finished_at is not None:
            return 0
        found = await repository.list_on_books_markup(session, after=progress.after_account_id, limit=STEP)
        await self._save(session, found, now=now)
        last, is_over = (found[-1] if found else progress.after_account_id), len(found) < STEP
        await repository.update_reannouncement(session, version, after=last, finished_at=now if is_over else None)
        return len(found)

    async def look_ahead(self, session: AsyncSession, *, after: UUID | None) -> UUID | None:
        """Whether accounts that asked for it will be empty soon, or spend as never before; where to go on."""
        now = self.clock.now()
        found = await repository.list_watchful(session, after=after, limit=STEP)
        books = await lock_books(session, found, alive_at=now, now=now, catalogue=self.catalogue)
        changed: list[AccountBook] = []
        for book in books.values():
            crossed = await _foreseen(session, book)
            if crossed:
                book.note_crossed(crossed)
                await outbox.add(session, *(crossed_event(book, one) for one in crossed))
                changed.append(book)
        await save(session, changed, catalogue=self.catalogue, now=now)
        return found[-1] if len(found) == STEP else None

    async def _save(self, session: AsyncSession, account_ids: list[UUID], *, now: datetime) -> int:
        books = await lock_books(session, account_ids, alive_at=now, now=now, catalogue=self.catalogue)
        await save(session, list(books.values()), catalogue=self.catalogue, now=now)
        return len(books)


@dataclass(slots=True)
class Renewal:
    """A background task; it owns its transactions."""

    database: Database
    renewing: Renewing
    clock: Clock
    _looked_at: datetime | None = field(default=None, init=False)

    async def run(self) -> None:
        """Do what is due until cancelled; a database that is away means waiting longer."""
        backoff = Backoff(first_s=0.5)
        while True:
            try:
                await self.once()
                backoff.reset()
                await asyncio.sleep(EVERY_S)
            except (SQLAlchemyError, OSError, DomainError) as error:
                log.warning("ledger.renewal_delayed", reason=type(error).__name__)
                await asyncio.sleep(backoff.next_s())

    async def once(self) -> None:
        """Everything that is due now, step by step."""
        steps: tuple[Callable[[AsyncSession], Awaitable[int]], ...] = (
            self.renewing.settle_due,
            self.renewing.announce_overage,
            self.renewing.reannounce_markup,
        )
        for step in steps:
            while await self._step(step) == STEP:
                pass
        now = self.clock.now()
        if self._looked_at is None or now - self._looked_at >= LOOK_EVERY:
            self._looked_at = now
            await self._look_ahead()

    async def _step(self, step: Callable[[AsyncSession], Awaitable[int]]) -> int:
        async with self.database.transaction() as session:
            return await step(session)

    async def _look_ahead(self) -> None:
        after: UUID | None = None
        while True:
            async with self.database.transaction() as session:
                after = await self.renewing.look_ahead(session, after=after)
            if after is None:
                return


def _accrued(book: AccountBook, row: Any, *, now: datetime) -> OverageAccrued:
    account = book.account
    in_units = quantity_of(row.amount_nano, carry_nano=account.overage_carry, nano_per_1k_tokens=row.nano_per_1k_tokens)
    account.overage_carry = in_units.carry_nano
    return OverageAccrued(
        id=fact_id("overage", account.id, row.plan_id, row.plan_version, row.hour.isoformat(), row.sequence),
        time=now,
        account_id=account.id,
        plan_id=row.plan_id,
        plan_version=row.plan_version,
        hour=row.hour,
        sequence=row.sequence,
        collect=row.collect,
        unit=Unit.TOKEN if row.nano_per_1k_tokens else Unit.CREDIT,
        quantity=in_units.quantity,
        amount_nano=row.amount_nano,
        late=row.is_late,
    )


async def _foreseen(session: AsyncSession, book: AccountBook) -> list[Crossing]:
    levels, today = parse_levels(book.account.levels or "{}"), book.now.date()
    if not levels.days_left and levels.spend_spike_percent is None:
        return []
    rows = await repository.list_spent_by_day(session, book.account.id, first=(book.now - HISTORY).date())
    rate = per_day({row.day: row.price_nano for row in rows}, today=today)
    available = book.available_nano()
    left = days_left(available, rate)
    found = [
        Crossing("days_left", f"days_left:{figure}", Unit.CREDIT, book.account.armed_base, available, str(figure))
        for figure in passed_days(left, levels.days_left)
    ]
    percent = levels.spend_spike_percent
    spent = {row.day: row.value_nano for row in rows}
    if percent is not None and is_spike(spent, today=today, percent=percent):
        key = f"spike:{today.isoformat()}"
        found.append(Crossing("spend_spike", key, Unit.CREDIT, spent[today], available, str(percent)))
    return [one for one in found if one.key not in book.account.crossed]

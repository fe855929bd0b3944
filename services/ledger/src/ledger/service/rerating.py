"""Rating booked calls again by another price book, and booking the difference (money.md 23)."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from kit.database import Database
from kit.ids import uuid7
from ledger.domain.book import AccountBook
from ledger.domain.correcting import Posted, post_correction
from ledger.domain.plans import Plans
from ledger.domain.rerating import Booked, Correction, Price, Rerater, UnratedError
from ledger.errors import UnknownPriceBookError
from ledger.repository import rerating as repository
from ledger.repository.rerating import Span
from ledger.repository.usage_days import DayCorrection, correct_days, day_of
from ledger.service.catalogue import Catalogue
from ledger.service.saving import lock_books, save

LOOKED_AT: Final = 20_000
BOOKED_AT_ONCE: Final = 2_000
SHOWN: Final = 100
Progress = Callable[[int], None]
Place = tuple[UUID, UUID]


@dataclass(slots=True)
class AccountDifference:
    """What re-rating moves for one account; more than nothing is charged more."""

    corrected: int = 0
    price_nano: int = 0
    cost_nano: int = 0

    def add(self, one: Correction) -> None:
        self.corrected += 1
        self.price_nano += one.price_difference_nano
        self.cost_nano += one.cost_difference_nano


@dataclass(slots=True)
class Rerated:
    """What a re-rating found, per account and in all; `unrated` counts by reason what stays as it is."""

    charges: int = 0
    accounts: dict[UUID, AccountDifference] = field(default_factory=dict)
    unrated: Counter[str] = field(default_factory=Counter)
    resumed: bool = False

    @property
    def total(self) -> AccountDifference:
        parts = self.accounts.values()
        return AccountDifference(
            sum(one.corrected for one in parts),
            sum(one.price_nano for one in parts),
            sum(one.cost_nano for one in parts),
        )

    def add(self, one: Correction) -> None:
        self.accounts.setdefault(one.call.account_id, AccountDifference()).add(one)


@dataclass(frozen=True, slots=True)
class Rerating:
    """It owns its transactions: a page at a time, each complete in itself, so that it can be stopped and goes on."""

    database: Database
    catalogue: Catalogue
    clock: Clock
    booked_at_once: int = BOOKED_AT_ONCE

    async def preview(self, span: Span, *, version: int, progress: Progress | None = None) -> Rerated:
        """What would move, without moving it."""
        found = Rerated()
        async with self.database.reading() as session:
            rerater, is_corrected = await self._prepared(session, version)
            after: Place | None = None
            while page := await repository.list_booked(
                session, span, after=after, limit=LOOKED_AT, is_corrected=is_corrected
            ):
                await self._learn_plans(session, page)
                await asyncio.sleep(0)
                for one in _differing(rerater, page, found):
                    found.add(one)
                after = (page[-1].account_id, page[-1].call_id)
                _tell(progress, found)
        return found

    async def book(self, span: Span, *, version: int, progress: Progress | None = None) -> Rerated:
        """Move the difference of every call; twice moves nothing, and a run that was cut off goes on."""
        found = Rerated()
        async with self.database.transaction() as session:
            rerater, _ = await self._prepared(session, version)
            run = await repository.find_open_run(session, span, version=version)
            run_id: UUID = run.id if run else uuid7(self.clock)
            if run is None:
                await repository.insert_run(session, run_id, span, version=version, now=self.clock.now())
        found.resumed = run is not None
        after: Place | None = (run.after_account_id, run.after_call_id) if run and run.after_account_id else None
        while True:
            async with self.database.transaction() as session:
                page = await repository.list_booked(
                    session, span, after=after, limit=self.booked_at_once, is_corrected=True
                )
                if not page:
                    await repository.finish_run(session, run_id, now=self.clock.now())
                    return found
                await self._learn_plans(session, page)
                after = (page[-1].account_id, page[-1].call_id)
                moved = await self._move(session, _differing(rerater, page, found), run_id=run_id, version=version)
                await repository.update_run(session, run_id, after=after, charges=len(page), moved=moved)
            for one in moved:
                found.add(one)
            _tell(progress, found)

    async def _prepared(self, session: AsyncSession, version: int) -> tuple[Rerater, bool]:
        book = (await self.catalogue.books(session)).get(version)
        if book is None:
            raise UnknownPriceBookError(f"There is no price book of version {version}.", field="price_book")
        plans: Plans = await self.catalogue.plan_rates(session, ())
        return Rerater(book, plans), await repository.has_corrections(session)

    async def _learn_plans(self, session: AsyncSession, page: Sequence[Booked]) -> None:
        """The catalogue's plans are one growing map, which the rerater holds."""
        wanted = {(call.plan_id, call.plan_version) for call in page if call.plan_id and call.plan_version is not None}
        await self.catalogue.plan_rates(session, wanted)

    async def _move(
        self, session: AsyncSession, corrections: Sequence[Correction], *, run_id: UUID, version: int
    ) -> list[Correction]:
        if not corrections:
            return []
        now, reference = self.clock.now(), f"rerate:{run_id}"
        calls = [one.call for one in corrections]
        movements = await repository.list_movements(session, calls)
        grants = sorted({one.grant_id for rows in movements.values() for one in rows if one.grant_id})
        accounts = {call.account_id for call in calls}
        books = await lock_books(session, accounts, alive_at=now, now=now, also=grants, catalogue=self.catalogue)
        # Again under the lock: another run, or a refund, may have come between.
        movements = await repository.list_movements(session, calls)
        standing = await repository.list_again(session, calls)
        moved: list[Correction] = []
        rows: list[tuple[Correction, int, Posted]] = []
        for one in corrections:
            place = (one.call.account_id, one.call.call_id)
            price_nano, cost_nano, n = standing[place]
            fresh = Correction(one.call._replace(price_nano=price_nano, cost_nano=cost_nano), one.new)
            if fresh.price_difference_nano or fresh.cost_difference_nano:
                book: AccountBook = books[place[0]]
                posted = post_correction(book, fresh, movements.get(place, []), reference=reference)
                rows.append((fresh, n + 1, posted))
                moved.append(fresh)
        await repository.insert_corrections(session, rows, run_id=run_id, version=version, now=now)
        await correct_days(session, [_of_day(one, posted) for one, _, posted in rows])
        touched = {one.call.account_id for one in moved}
        await save(session, [book for key, book in books.items() if key in touched], catalogue=self.catalogue, now=now)
        return moved


def _of_day(one: Correction, posted: Posted) -> DayCorrection:
    call = one.call
    return DayCorrection(
        call.account_id,
        call.call_id,
        day_of(call.admitted_at),
        call.plan_id or "",
        call.model,
        one.price_difference_nano,
        one.cost_difference_nano,
        posted.recognised_nano,
    )


def _differing(rerater: Rerater, page: Sequence[Booked], found: Rerated) -> list[Correction]:
    found.charges += len(page)
    corrections: list[Correction] = []
    for call in page:
        try:
            new: Price = rerater.price(call)
        except UnratedError as error:
            found.unrated[str(error)] += 1
            continue
        if new[0] != call[2] or new[1] != call[3]:
            corrections.append(Correction(call, new))
    return corrections


def _tell(progress: Progress | None, found: Rerated) -> None:
    if progress is not None:
        progress(found.charges)

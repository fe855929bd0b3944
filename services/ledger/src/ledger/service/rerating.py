"""Rating booked calls again by another price book, and booking the difference (money.md 23)."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from kit.database import Database
from kit.ids import uuid7
from ledger.domain.book import AccountBook
from ledger.domain.correcting import Posted, post_correction
from ledger.domain.plans import Plans
from ledger.domain.rerating import Booked, Correction, Place, Price, Rerater, UnratedError, place_of
from ledger.domain.usage_days import DayKey, Days, add, correcting
from ledger.errors import UnknownPriceBookError
from ledger.repository import rerating as repository
from ledger.repository.driver import find_by_index
from ledger.repository.grants import list_named
from ledger.repository.rerating import Span
from ledger.repository.usage_days import add_usage_days, day_of
from ledger.service.ahead import read_ahead
from ledger.service.catalogue import Catalogue
from ledger.service.saving import lock_books, save

LOOKED_AT: Final = 5_000
BOOKED_AT_ONCE: Final = 4_000
READ_AT_ONCE: Final = 200_000
SHOWN: Final = 100
Progress = Callable[[int], None]


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
        account_id = one.call.account_id
        difference = self.accounts.get(account_id)
        if difference is None:
            difference = self.accounts[account_id] = AccountDifference()
        difference.add(one)


@dataclass(frozen=True, slots=True)
class Rerating:
    """It owns its transactions: a page at a time, each complete in itself, so that it can be stopped and goes on."""

    database: Database
    catalogue: Catalogue
    clock: Clock
    booked_at_once: int = BOOKED_AT_ONCE
    read_at_once: int = READ_AT_ONCE

    async def preview(self, span: Span, *, version: int, progress: Progress | None = None) -> Rerated:
        """What would move, without moving it; all of it as it stood at one instant."""
        found = Rerated()
        async with self.database.reading() as session:
            rerater, is_corrected = await self._prepared(session, version)
            pages = self._pages(span, after=None, most=None, page=LOOKED_AT, is_corrected=is_corrected)
            async with aclosing(read_ahead(pages)) as ahead:
                async for page in ahead:
                    await self._learn_plans(session, page)
                    for one in _differing(rerater, page, found):
                        found.add(one)
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
        pages = self._pages(span, after=after, most=self.read_at_once, page=self.booked_at_once, is_corrected=True)
        async with aclosing(read_ahead(pages)) as ahead:
            async for page in ahead:
                async with self.database.transaction() as session:
                    await self._learn_plans(session, page)
                    moved = await self._move(session, _differing(rerater, page, found), run_id=run_id, version=version)
                    last = place_of(page[-1])
                    await repository.update_run(session, run_id, after=last, charges=len(page), moved=moved)
                for one in moved:
                    found.add(one)
                _tell(progress, found)
        async with self.database.transaction() as session:
            await repository.finish_run(session, run_id, now=self.clock.now())
        return found

    async def _prepared(self, session: AsyncSession, version: int) -> tuple[Rerater, bool]:
        book = (await self.catalogue.books(session)).get(version)
        if book is None:
            raise UnknownPriceBookError(f"There is no price book of version {version}.", field="price_book")
        plans: Plans = await self.catalogue.plan_rates(session, ())
        return Rerater(book, plans), await repository.has_corrections(session)

    async def _pages(
        self, span: Span, *, after: Place | None, most: int | None, page: int, is_corrected: bool
    ) -> AsyncGenerator[list[Booked]]:
        """Every page; out of one query, or out of one for so many charges, so that no snapshot grows old."""
        while True:
            number = 0
            async with self.database.reading() as session:
                booked = repository.stream_booked(
                    session, span, after=after, most=most, page=page, is_corrected=is_corrected
                )
                async with aclosing(booked) as stream:
                    async for some in stream:
                        number, after = number + len(some), place_of(some[-1])
                        yield some
            if most is None or number < most:
                return

    async def _learn_plans(self, session: AsyncSession, page: Sequence[Booked]) -> None:
        """The catalogue's plans are one growing map, which the rerater holds."""
        wanted = {(call.plan_id, call.plan_version) for call in page if call.plan_id and call.plan_version is not None}
        await self.catalogue.plan_rates(session, wanted)

    async def _move(
        self, session: AsyncSession, corrections: Sequence[Correction], *, run_id: UUID, version: int
    ) -> list[Correction]:
        """Set-based as a batch of calls is: locks, what stands, what to give back from, then rows by COPY."""
        if not corrections:
            return []
        now = self.clock.now()
        await find_by_index(session)
        accounts = {one.call.account_id for one in corrections}
        books = await lock_books(session, accounts, alive_at=now, now=now, catalogue=self.catalogue)
        standing = await repository.list_corrected(session, [one.call for one in corrections])
        fresh = [one for one in (_as_standing(one, standing) for one in corrections) if one.moves]
        burns = await _burns(session, fresh, books)
        rows: list[tuple[Correction, int, Posted]] = []
        for one in fresh:
            place = place_of(one.call)
            posted = post_correction(books[place[0]], one, burns.get(place, ()), reference=f"rerate:{run_id}")
            rows.append((one, standing[place][2] + 1 if place in standing else 1, posted))
        await repository.insert_corrections(session, rows, run_id=run_id, version=version, now=now)
        await add_usage_days(session, _days(rows))
        touched = {one.call.account_id for one in fresh}
        await save(session, [book for key, book in books.items() if key in touched], catalogue=self.catalogue, now=now)
        return fresh


async def _burns(
    session: AsyncSession, corrections: Sequence[Correction], books: Mapping[UUID, AccountBook]
) -> Mapping[Place, Sequence[Any]]:
    """Of the calls that become cheaper, what is given back and from where; the grants that paid come to the pages."""
    cheaper = [one.call for one in corrections if one.price_difference_nano < 0]
    burns = await repository.list_movements(session, cheaper)
    paid = {(place[0], one.grant_id) for place, rows in burns.items() for one in rows if one.grant_id}
    absent = {grant_id for account_id, grant_id in paid if books[account_id].grant(grant_id) is None}
    for grant in await list_named(session, absent):
        books[grant.account_id].add([grant])
    return burns


def _as_standing(one: Correction, standing: Mapping[Place, tuple[int, int, int]]) -> Correction:
    """Again under the lock: another run may have come between."""
    known = standing.get(place_of(one.call))
    if known is None:
        return one
    return Correction(one.call._replace(price_nano=known[0], cost_nano=known[1]), one.new)


def _days(rows: Sequence[tuple[Correction, int, Posted]]) -> Days:
    days: Days = {}
    for one, _, posted in rows:
        call = one.call
        key = DayKey(
            call.account_id,
            day_of(call.admitted_at),
            call.plan_id or "",
            call.model,
            call.project_id,
            call.api_key_id,
            call.user_id,
        )
        sums = correcting(
            price_nano=one.price_difference_nano,
            cost_nano=one.cost_difference_nano,
            recognised_nano=posted.recognised_nano,
        )
        add(days, key, sums)
    return days


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

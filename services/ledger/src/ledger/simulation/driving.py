"""Drives the real services on a real database through the same steps, and compares after each of them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from kit import parking
from kit.clock import ManualClock
from kit.consumer import Consumer
from kit.database import Database
from kit.received import StoredRecord
from ledger.domain.conservation import Books
from ledger.entrypoints.events import UseCases, build_consumer
from ledger.repository.partitions import ensure_partitions
from ledger.service.accounts import Accounts
from ledger.service.adjusting import Adjusting, Adjustment
from ledger.service.booking import GROUP, Booking
from ledger.service.budgeting import Budgeting
from ledger.service.catalogue import Catalogue, publish_book, publish_first_book, receive_plan
from ledger.service.checking import check_books
from ledger.service.granting import Granting
from ledger.service.renewing import Renewing
from ledger.service.reversing import Reversing
from ledger.simulation import steps, told
from ledger.simulation.reference import Reference
from ledger.simulation.year import MODELS, STARTS, TERMS, year

FIRST_RATES: Final = dict(zip(MODELS, ((3_000, 15_000), (100, 500)), strict=True))
OPERATOR: Final = UUID(int=7, version=4)
SHOWN: Final = 12
BOOKS_YEARS: Final = 10
Rows = list[tuple[Any, ...]]


class CrashedError(Exception):
    """The process ends before the commit."""


class DifferenceError(Exception):
    """The two ledgers do not agree; the message says where, and what happened before."""


@dataclass(slots=True)
class Outcome:
    """What a run came to."""

    steps: int = 0
    calls: int = 0
    crashes: int = 0
    accounts: int = 0
    transfers: int = 0
    totals: dict[tuple[str, str], int] = field(default_factory=dict)


class Process:
    """The ledger as a process would be: what it remembers goes with a crash."""

    def __init__(self, database: Database, clock: ManualClock, shipped: str) -> None:
        self.database, self.clock, self.shipped = database, clock, shipped
        self.offset = 0
        self.restart()

    def restart(self) -> None:
        catalogue = Catalogue()
        self.catalogue = catalogue
        use = UseCases(
            accounts=Accounts(catalogue, self.clock),
            granting=Granting(catalogue, self.clock),
            reversing=Reversing(catalogue, self.clock),
            booking=Booking(catalogue, self.clock, BOOKS_YEARS),
            budgeting=Budgeting(catalogue, self.clock),
        )
        self.consumer: Consumer = build_consumer(use)

    async def open(self, first: steps.PriceBook) -> None:
        async with self.database.transaction() as session:
            await ensure_partitions(session, now=self.clock.now(), months_ahead=14)
            await publish_first_book(session, told.price_text(self.shipped, first), now=self.clock.now())
            await receive_plan(session, told.plan(TERMS))

    async def follow(self, step: steps.Step) -> None:
        """Apply a step; a crash applies it, forgets it, and is given it again."""
        self.clock.instant = step.at
        records = [self._record(event) for event in told.events(step)]
        if step.crashes:
            try:
                await self._apply(step, records, crashes=True)
            except CrashedError:
                self.restart()
        await self._apply(step, records, crashes=False)
        await self._released()

    async def _apply(self, step: steps.Step, records: list[StoredRecord], *, crashes: bool) -> None:
        async with self.database.transaction() as session:
            if records:
                await self.consumer.apply(session, records, clock=self.clock)
            for one in step.happenings:
                if isinstance(one, steps.PriceBook):
                    book = told.price_text(self.shipped, one)
                    await publish_book(session, book, now=step.at, effective_at=one.effective_at)
                elif isinstance(one, steps.Adjustment):
                    await Adjusting(self.catalogue, self.clock).adjust_credits(session, _adjustment(one))
                elif isinstance(one, steps.Settle):
                    while await Renewing(self.catalogue, self.clock).settle_due(session):
                        pass
            if crashes:
                raise CrashedError

    async def _released(self) -> None:
        async with self.database.transaction() as session:
            records = await parking.list_released(session, GROUP, limit=1000)
            if records:
                await self.consumer.apply(session, records, clock=self.clock)
                await parking.remove(session, GROUP, records)

    def _record(self, event: Any) -> StoredRecord:
        self.offset += 1
        return StoredRecord(event.type, 0, self.offset, event.key.encode(), event.encode("simulation"))


async def simulate(
    database: Database,
    *,
    seed: int,
    accounts: int,
    months: int,
    shipped: str,
    crashes: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Outcome:
    """Run a year on an empty, migrated database; raises `DifferenceError` at the first step that differs."""
    clock, first = ManualClock(STARTS), steps.PriceBook(1, STARTS, FIRST_RATES)
    process, reference = Process(database, clock, shipped), Reference(TERMS)
    await process.open(first)
    reference.follow(steps.Step(0, STARTS, (first,)))
    outcome, before = Outcome(), list[steps.Step]()
    for step in year(seed, accounts=accounts, months=months, first=first, crashes=crashes):
        before.append(step)
        try:
            await process.follow(step)
        except Exception as error:
            raise DifferenceError(_report(seed, before, f"the ledger raised {error!r}")) from error
        reference.follow(step)
        for account in sorted(_touched(step, reference), key=str):
            await _compare(database, reference, account, seed=seed, before=before)
        outcome.steps += 1
        outcome.calls += sum(isinstance(one, steps.Call) for one in step.happenings)
        outcome.crashes += step.crashes
        if progress is not None:
            progress(step.number)
    await _compare_all(database, reference, seed=seed, before=before)
    outcome.accounts, outcome.totals = len(reference.parties), dict(reference.books)
    async with database.reading() as session:
        outcome.transfers = int((await session.execute(text("SELECT count(*) FROM transfer"))).scalar_one())
    return outcome


async def _compare(
    database: Database, reference: Reference, account: UUID, *, seed: int, before: list[steps.Step]
) -> None:
    async with database.reading() as session:
        debt = await session.scalar(text("SELECT debt_nano FROM account WHERE id = :id"), {"id": account})
        rows = await session.execute(
            text(
                """SELECT source, unit, amount, starts_at, expires_at, created_at, remaining, burnt
                FROM "grant" WHERE account_id = :id"""
            ),
            {"id": account},
        )
        found: Rows = sorted((tuple(row) for row in rows), key=repr)
    party = reference.parties[account]
    wanted: Rows = sorted((pot.row() for pot in party.pots), key=repr)
    wanted = [_plain(row) for row in wanted]
    found = sorted((_plain(row) for row in found), key=repr)
    differences = [f"grant {row} is in the ledger only" for row in found if row not in wanted]
    differences += [f"grant {row} is in the reference only" for row in sorted(wanted, key=repr) if row not in found]
    if debt != party.debt:
        differences.append(f"debt is {debt} in the ledger and {party.debt} in the reference")
    if differences or len(found) != len(wanted):
        own = [_of_account(step, account) for step in before if account in _touched(step, reference)]
        raise DifferenceError(_report(seed, own, f"account {account}:\n  " + "\n  ".join(differences)))


async def _compare_all(database: Database, reference: Reference, *, seed: int, before: list[steps.Step]) -> None:
    for account in reference.parties:
        await _compare(database, reference, account, seed=seed, before=before)
    async with database.reading() as session:
        rows = await session.execute(text(_TOTALS))
        found = {(row.name, row.unit): int(row.balance) for row in rows if row.balance}
        books: Books = await check_books(session)
    wanted = {key: balance for key, balance in reference.books.items() if balance}
    differences = [
        f"{name} holds {found.get((name, unit), 0)} {unit}, in the reference {wanted.get((name, unit), 0)}"
        for name, unit in sorted(found.keys() | wanted.keys())
        if found.get((name, unit)) != wanted.get((name, unit))
    ]
    differences += books.differences
    if differences:
        raise DifferenceError(_report(seed, before, "\n  ".join(differences)))


_TOTALS: Final = """
SELECT CASE WHEN name LIKE 'grant:%' THEN 'customers' WHEN name LIKE 'debt:%' THEN 'debts' ELSE name END AS name,
    unit, sum(amount) AS balance
FROM (
    SELECT target AS name, unit, amount FROM transfer UNION ALL SELECT source, unit, -amount FROM transfer
) AS sides GROUP BY 1, 2
"""


def _touched(step: steps.Step, reference: Reference) -> set[UUID]:
    if any(isinstance(one, steps.Settle) for one in step.happenings):
        return set(reference.parties)
    return {one.account for one in step.happenings if not isinstance(one, steps.PriceBook | steps.Settle)}


def _of_account(step: steps.Step, account: UUID) -> steps.Step:
    own = [one for one in step.happenings if getattr(one, "account", account) == account]
    return replace(step, happenings=tuple(own))


def _adjustment(one: steps.Adjustment) -> Adjustment:
    return Adjustment(
        account_id=one.account,
        amount_nano=one.amount,
        reason="simulated",
        actor_user_id=OPERATOR,
        expires_in_days=one.days,
        allow_debt=True,
    )


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.isoformat() if hasattr(value, "isoformat") else value for value in row)


def _report(seed: int, before: list[steps.Step], what: str) -> str:
    lines = [f"seed {seed} differs at step {before[-1].number} ({before[-1].at.isoformat()}): {what}", "before it:"]
    lines += [f"  {step}" for step in before[-SHOWN:]]
    return "\n".join(lines)

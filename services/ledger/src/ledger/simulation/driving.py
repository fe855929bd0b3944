"""Drives the real services on a real database through the same steps, and compares after each of them."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from kit import parking
from kit.clock import ManualClock
from kit.consumer import Consumer
from kit.database import Database
from kit.received import StoredRecord
from ledger.entrypoints.events import UseCases, build_consumer
from ledger.errors import RefundError
from ledger.repository.partitions import ensure_partitions
from ledger.repository.rerating import Span
from ledger.service.accounts import Accounts
from ledger.service.adjusting import Adjusting, Adjustment
from ledger.service.booking import GROUP, Booking
from ledger.service.budgeting import Budgeting
from ledger.service.catalogue import Catalogue, publish_book, publish_first_book, receive_plan
from ledger.service.granting import Granting
from ledger.service.refunding import Refund, Refunding
from ledger.service.renewing import Renewing
from ledger.service.rerating import Rerating
from ledger.service.reversing import Reversing
from ledger.service.verifying import Verifying
from ledger.simulation import steps, told
from ledger.simulation.comparing import differences_in_all, differences_of
from ledger.simulation.reference import Reference
from ledger.simulation.steps import Step
from ledger.simulation.world import MODELS, PLANS, STARTS
from ledger.simulation.year import year

FIRST_RATES: Final = dict(zip(MODELS, ((3_000, 15_000), (100, 500)), strict=True))
OPERATOR: Final = UUID(int=7, version=4)
SHOWN: Final = 12
BOOKS_YEARS: Final = 10
RERATED_AT_ONCE: Final = 7


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
    kinds: Counter[str] = field(default_factory=Counter)
    totals: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, step: Step) -> None:
        self.steps += 1
        self.crashes += step.crashes
        self.kinds.update(type(one).__name__ for one in step.happenings)
        self.calls = self.kinds["Call"]


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
            for plan in PLANS.values():
                await receive_plan(session, told.plan(plan))

    async def follow(self, step: steps.Step) -> None:
        """Apply a step; a crash applies it, forgets it, and is given it again."""
        self.clock.instant = step.at
        records = [self._record(event) for event in told.events(step)]
        if step.crashes:
            with suppress(CrashedError):
                await self._apply(step, records, crashes=True)
            self.restart()
        await self._apply(step, records, crashes=False)
        await self._released()

    async def _apply(self, step: steps.Step, records: list[StoredRecord], *, crashes: bool) -> None:
        for one in step.happenings:
            if isinstance(one, steps.Rerating):
                await self._rerate(one, crashes=crashes)
        async with self.database.transaction() as session:
            if records:
                await self.consumer.apply(session, records, clock=self.clock)
            for one in step.happenings:
                await self._act(session, one)
            if crashes:
                raise CrashedError

    async def _rerate(self, one: steps.Rerating, *, crashes: bool) -> None:
        """In pages of a few calls; a crash comes behind the first of them, whose corrections stand."""

        def crash(charges: int) -> None:
            raise CrashedError

        rerating = Rerating(self.database, self.catalogue, self.clock, booked_at_once=RERATED_AT_ONCE)
        span = Span(one.start, one.end, None)
        await rerating.book(span, version=one.version, progress=crash if crashes else None)

    async def _act(self, session: AsyncSession, one: steps.Happening) -> None:
        """What is no event."""
        match one:
            case steps.PriceBook():
                book = told.price_text(self.shipped, one)
                await publish_book(session, book, now=self.clock.now(), effective_at=one.effective_at)
            case steps.Adjustment():
                await Adjusting(self.catalogue, self.clock).adjust_credits(session, _adjustment(one))
            case steps.CallRefund():
                # More than is left is refused, and nothing of it stands.
                with suppress(RefundError):
                    async with session.begin_nested():
                        await Refunding(self.catalogue, self.clock).refund_call(session, _refund(one))
            case steps.Settle():
                renewing = Renewing(self.catalogue, self.clock)
                while await renewing.settle_due(session) or await renewing.announce_overage(session):
                    pass

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
    reference: Reference | None = None,
) -> Outcome:
    """Run a year on an empty, migrated database; raises `DifferenceError` at the first step that differs."""
    clock, first = ManualClock(STARTS), steps.PriceBook(1, STARTS, FIRST_RATES)
    process, reference = Process(database, clock, shipped), reference or Reference(PLANS)
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
        await _compare(database, reference, seed=seed, before=before)
        outcome.add(step)
        if progress is not None:
            progress(step.number)
    await _compare_all(database, reference, seed=seed, before=before)
    outcome.accounts, outcome.totals = len(reference.parties), dict(reference.books)
    async with database.reading() as session:
        outcome.transfers = int((await session.execute(text("SELECT count(*) FROM transfer"))).scalar_one())
    return outcome


async def _compare(database: Database, reference: Reference, *, seed: int, before: list[steps.Step]) -> None:
    """Whom the last step touched."""
    async with database.reading() as session:
        for account in sorted(_touched(before[-1], reference), key=str):
            differences = await differences_of(session, reference, account)
            if differences:
                own = [_of_account(step, account) for step in before if account in _touched(step, reference)]
                raise DifferenceError(_report(seed, own, f"account {account}:\n  " + "\n  ".join(differences)))


async def _compare_all(database: Database, reference: Reference, *, seed: int, before: list[steps.Step]) -> None:
    async with database.reading() as session:
        differences = await differences_in_all(session, reference)
    differences += [str(one) for one in (await Verifying(database).verify_all()).findings]
    if differences:
        raise DifferenceError(_report(seed, before, "\n  ".join(differences)))


def _touched(step: steps.Step, reference: Reference) -> set[UUID]:
    if any(isinstance(one, steps.Settle | steps.Rerating) for one in step.happenings):
        return set(reference.parties)
    return {one.account for one in step.happenings if isinstance(one, steps.OfAccount)}


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


def _refund(one: steps.CallRefund) -> Refund:
    return Refund(
        account_id=one.account,
        request_id=one.call_id,
        amount_nano=one.amount,
        reason="simulated",
        actor_user_id=OPERATOR,
    )


def _report(seed: int, before: list[steps.Step], what: str) -> str:
    lines = [f"seed {seed} differs at step {before[-1].number} ({before[-1].at.isoformat()}): {what}", "before it:"]
    lines += [f"  {step}" for step in before[-SHOWN:]]
    return "\n".join(lines)

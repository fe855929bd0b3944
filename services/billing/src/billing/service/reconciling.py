"""Overage held against Stripe, per customer: what the ledger said, what was reported, counted, invoiced and paid."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing.adapters.stripe_meters import StripeMeters
from billing.domain.amounts import NANO_PER_MINOR
from billing.domain.overage import DRAFT, HOUR, UNIT_NANO, UNITS_PER_MINOR, Owed, UseLine, minor_of
from billing.repository import overage as repository
from billing.repository import overage_credits
from billing.repository.overage import Metered
from billing.service.overage import begin_anew
from kit.clock import Clock
from kit.database import Database


@dataclass(frozen=True, slots=True)
class Books:
    """An account's overage in our own books: every unit that the ledger's amounts make stands in one state."""

    account_id: UUID
    customer: str | None
    ledger_nano: int
    carry_nano: int
    credited_minor: int
    units: dict[str, int]
    gaps: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether what the ledger said is what our rows hold, to the nano-credit."""
        held = sum(units for state, units in self.units.items() if state != "expired")
        ours_nano = held * UNIT_NANO + self.carry_nano - self.credited_minor * NANO_PER_MINOR
        return not self.gaps and self.ledger_nano == ours_nano


@dataclass(frozen=True, slots=True)
class Billed:
    """One period of an account on one invoice; amounts in units of the meter, and in minor units."""

    invoice_id: str
    status: str
    period_start: datetime
    period_end: datetime
    reported_units: int
    counted_units: int
    invoiced_units: int
    invoiced_minor: int
    paid_minor: int

    @property
    def problems(self) -> tuple[str, ...]:
        found = []
        if self.reported_units != self.counted_units:
            found.append(f"reported {self.reported_units}, Stripe counted {self.counted_units}")
        if self.counted_units != self.invoiced_units:
            found.append(f"counted {self.counted_units}, invoiced {self.invoiced_units}")
        if abs(self.invoiced_minor * UNITS_PER_MINOR - self.invoiced_units) > UNITS_PER_MINOR // 2:
            found.append(f"{self.invoiced_units} units invoiced as {self.invoiced_minor} instead of {self._asked}")
        if self.paid_minor != self.invoiced_minor and self.status == "paid":
            found.append(f"invoiced {self.invoiced_minor}, paid {self.paid_minor}")
        return tuple(found)

    @property
    def _asked(self) -> int:
        return minor_of(self.invoiced_units)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One customer in one window of time."""

    books: Books
    billed: tuple[Billed, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        found = (
            [] if self.books.is_whole else [f"the ledger said {self.books.ledger_nano} nano-credits, our rows differ"]
        )
        found += [f"never heard: {gap}" for gap in self.books.gaps]
        found += [f"{units} units {state}" for state, units in self.books.units.items() if state == "rejected"]
        return (*found, *(f"{one.invoice_id}: {problem}" for one in self.billed for problem in one.problems))


class Reconciler:
    """Reads our books and Stripe, and where it is told to, repairs what differs."""

    def __init__(self, database: Database, meters: StripeMeters, *, clock: Clock) -> None:
        self._database = database
        self._meters = meters
        self._clock = clock

    async def reconcile(self, *, start: datetime, end: datetime) -> list[Reconciled]:
        """Every customer with overage, over the invoices that were made in [start, end)."""
        async with self._database.reading() as session:
            accounts = await repository.list_accounts(session)
        return [await self._one(account_id, customer, start=start, end=end) for account_id, customer in accounts]

    async def _one(self, account_id: UUID, customer: str | None, *, start: datetime, end: datetime) -> Reconciled:
        async with self._database.reading() as session:
            books = await _books(session, account_id, customer)
        lines = await self._meters.list_use_lines(customer, start=start, end=end) if customer else []
        return Reconciled(books, tuple([await self._billed(account_id, str(customer), line) for line in lines]))

    async def _billed(self, account_id: UUID, customer: str, line: UseLine) -> Billed:
        counted = 0
        if line.period_start < line.period_end:
            counted = await self._meters.count(customer, start=line.period_start, end=line.period_end)
        async with self._database.reading() as session:
            rows = await repository.list_in_window(session, account_id, line.period_start, line.period_end)
        # The first invoice carries the meter's line for the period that only begins.
        is_first = line.units == 0 and line.amount_minor == 0
        reported = 0 if is_first else sum(row.units for row in rows if row.state == "accepted")
        return Billed(
            invoice_id=line.invoice_id,
            status=line.status,
            period_start=line.period_start,
            period_end=line.period_end,
            reported_units=reported,
            counted_units=0 if is_first else counted,
            invoiced_units=line.units,
            invoiced_minor=line.amount_minor,
            paid_minor=line.amount_minor if line.status == "paid" else 0,
        )

    async def repair(self, account_id: UUID) -> list[str]:
        """Hour by hour of the open period: send again what Stripe lacks, take or give back what it has too much."""
        async with self._database.reading() as session:
            metered = await repository.find_metered(session, account_id)
        if metered is None:
            return ["no subscription bills the meter"]
        now = self._clock.now()
        is_draft = now < metered.period_start + DRAFT
        start = metered.since if is_draft else max(metered.since, metered.period_start)
        async with self._database.reading() as session:
            rows = await repository.list_in_window(session, account_id, start, now)
        hours = sorted({(row.dated_at or row.hour).replace(minute=0, second=0, microsecond=0) for row in rows})
        return [done for hour in hours for done in await self._repair_hour(metered, hour)]

    async def _repair_hour(self, metered: Metered, hour: datetime) -> list[str]:
        counted = await self._meters.count(metered.customer, start=hour, end=hour + HOUR)
        async with self._database.reading() as session:
            rows = await repository.list_in_window(session, metered.account_id, hour, hour + HOUR)
        difference = counted - sum(row.units for row in rows if row.state == "accepted")
        if difference < 0:
            return await self._send_again(rows, missing=-difference)
        return await self._take_back(metered, rows, surplus=difference) if difference else []

    async def _send_again(self, rows: list[Owed], *, missing: int) -> list[str]:
        done = []
        for row in reversed([row for row in rows if row.state == "accepted"]):
            if row.units <= missing:
                missing -= row.units
                async with self._database.transaction() as session:
                    await begin_anew(session, row, now=self._clock.now())
                done.append(f"{row.identifier}: reported anew")
        return done

    async def _take_back(self, metered: Metered, rows: list[Owed], *, surplus: int) -> list[str]:
        """Inside a day by cancelling the event; later as a credit on the next invoice."""
        for row in rows:
            if row.state != "accepted" and row.units <= surplus and await self._meters.cancel(row.identifier):
                return [f"{row.identifier}: taken back"]
        given = minor_of(surplus)
        if given == 0:
            return []
        key = f"meter-credit-{metered.account_id}-{rows[0].identifier}-{surplus}"
        await self._meters.bill(
            metered.customer, amount_minor=-given, currency="usd", key=key, words="Use that was counted twice"
        )
        return [f"{given} given back on the next invoice"]


async def _books(session: AsyncSession, account_id: UUID, customer: str | None) -> Books:
    return Books(
        account_id=account_id,
        customer=customer,
        ledger_nano=await repository.sum_facts(session, account_id),
        carry_nano=await repository.find_carry(session, account_id),
        credited_minor=await overage_credits.sum_credits(session, account_id),
        units=await repository.sum_units(session, account_id),
        gaps=tuple(await repository.list_gaps(session, account_id)),
    )

"""Price books and plans: published, received, and remembered by version, since a version never changes."""

import hashlib
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.billing import PlanPublished
from contracts.ledger import PriceBookPublished
from contracts.money import MAX_AMOUNT
from kit import logging, outbox, parking
from kit.errors import MissingReferentError
from kit.ids import fact_id
from ledger.domain.account import Account
from ledger.domain.plans import PlanRates, Plans
from ledger.domain.pricing import book_referent, model_referent, plan_referent
from ledger.domain.snapshot import Terms
from ledger.errors import AmountError, LeadTimeError, PriceBookUnchangedError
from ledger.repository import catalogue as repository
from rating import PriceBook, parse_book

log = logging.get(__name__)

CATALOGUE: Final = "catalogue"
FIRST_VERSION: Final = 1
LEAD: Final = timedelta(minutes=5)


class Catalogue:
    """What a process remembers of versions; nothing in it can go stale."""

    def __init__(self) -> None:
        self._books: dict[int, PriceBook] = {}
        self._plans: dict[tuple[str, int], PlanPublished] = {}
        self._rates: dict[tuple[str, int], PlanRates] = {}
        self._terms: dict[tuple[tuple[str, int] | None, int], Terms] = {}

    async def books(self, session: AsyncSession) -> Mapping[int, PriceBook]:
        """Every published version."""
        versions = {row.version for row in await repository.list_price_books(session)}
        missing = versions - self._books.keys()
        if missing:
            self._books |= await repository.list_price_book_bodies(session, missing)
        return {version: self._books[version] for version in sorted(versions)}

    async def book_in_force(self, session: AsyncSession, *, now: datetime) -> PriceBook:
        """The newest version that has taken effect; raises `MissingReferentError` before the first is published."""
        books = list((await self.books(session)).values())
        if not books:
            raise MissingReferentError(book_referent(FIRST_VERSION))
        in_force = [book for book in books if book.effective_at <= now] or books[:1]
        return max(in_force, key=lambda book: (book.effective_at, book.version))

    async def plan(self, session: AsyncSession, plan_id: str, version: int) -> PlanPublished:
        """Raises `MissingReferentError` for a version that is not here yet."""
        known = self._plans.get((plan_id, version))
        if known is None:
            known = await repository.find_plan(session, plan_id, version)
            if known is None:
                raise MissingReferentError(plan_referent(plan_id, version))
            self._plans[plan_id, version] = known
        return known

    async def plan_rates(self, session: AsyncSession, wanted: Collection[tuple[str, int]]) -> Plans:
        """How those of the plan versions that are here pay for calls."""
        for plan_id, version in set(wanted) - self._rates.keys():
            found = await repository.find_plan(session, plan_id, version)
            if found is not None:
                self._rates[plan_id, version] = PlanRates(found)
        return self._rates

    async def terms(self, session: AsyncSession, account: Account, *, book: PriceBook) -> Terms:
        """What the account's calls are subject to while `book` is in force."""
        key = (account.plan, book.version)
        known = self._terms.get(key)
        if known is None:
            plan = await self.plan(session, *account.plan) if account.plan else None
            known = self._terms[key] = Terms(plan, book_markup_bps=book.markup_bps)
        return known


async def receive_plan(session: AsyncSession, plan: PlanPublished) -> None:
    """Keep a plan version and let go what waited for it."""
    _check_amounts(plan)
    if await repository.insert_plan(session, plan):
        referents = [plan_referent(plan.plan_id, plan.version)]
        await parking.release(session, *referents, *([CATALOGUE] if plan.default else []))


def _check_amounts(plan: PlanPublished) -> None:
    """What a snapshot will carry must be something that gateways can count with (money.md 2)."""
    overage = plan.terms.overage
    amounts: dict[str, list[int | None]] = {
        "allowances": [amount for one in plan.allowances for amount in (one.amount, one.roll_over_cap)],
        "soft_limits": [limit.amount for limit in plan.soft_limits],
        "terms": [overage.nano_per_1k_tokens, plan.terms.request_max_price_nano, plan.terms.open_allowance_nano],
    }
    for field, found in amounts.items():
        if any(amount is not None and not 0 <= amount <= MAX_AMOUNT for amount in found):
            raise AmountError("an amount of a plan is neither negative nor beyond all bounds", field=field)


async def default_plan(session: AsyncSession, *, now: datetime) -> PlanPublished:
    """Raises `MissingReferentError` until a catalogue has arrived: activations wait for it."""
    plan = await repository.find_default_plan(session, at=now)
    if plan is None:
        raise MissingReferentError(CATALOGUE)
    return plan


async def list_books(session: AsyncSession) -> list[Any]:
    """Version and dates of each published book, oldest first."""
    return await repository.list_price_books(session)


async def publish_first_book(session: AsyncSession, text: str, *, now: datetime) -> bool:
    """Publish the shipped book as version 1 if nothing is published yet."""
    if await repository.list_price_books(session):
        return False
    return await _publish(session, parse_book(text, version=FIRST_VERSION), source=text, now=now)


async def publish_book(
    session: AsyncSession, text: str, *, now: datetime, effective_at: datetime | None = None
) -> PriceBook:
    """Publish a changed source as the next version, announced at least five minutes ahead (money.md 19)."""
    known: list[Any] = await repository.list_price_books(session)
    if known and bytes(known[-1].source_digest) == _digest(text) and effective_at is None:
        raise PriceBookUnchangedError(f"This is version {known[-1].version} already.")
    book = parse_book(text, version=known[-1].version + 1 if known else FIRST_VERSION)
    if effective_at is not None:
        book = PriceBook.model_validate({**book.model_dump(), "effective_at": effective_at})
    if known and book.effective_at < now + LEAD:
        raise LeadTimeError(
            f"A new version takes effect at {(now + LEAD).isoformat()} at the earliest.", field="effective_at"
        )
    await _publish(session, book, source=text, now=now)
    return book


async def _publish(session: AsyncSession, book: PriceBook, *, source: str, now: datetime) -> bool:
    if not await repository.insert_price_book(session, book, source_digest=_digest(source), now=now):
        return False
    event = PriceBookPublished(
        id=fact_id("price-book", book.version),
        time=now,
        version=book.version,
        effective_at=book.effective_at,
        book=book.model_dump(mode="json"),
    )
    await outbox.add(session, event)
    models = [name for model, prices in book.models.items() for name in (model, *prices.also)]
    await parking.release(session, book_referent(book.version), *map(model_referent, [*models, *book.operations]))
    log.info("ledger.price_book_published", version=book.version, effective_at=book.effective_at.isoformat())
    return True


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()

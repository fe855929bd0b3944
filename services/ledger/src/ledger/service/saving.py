"""The one way from a changed account to the database and to the gateways."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.billing import PlanPublished
from contracts.event import Event
from contracts.ledger import BalanceChanged, PeriodClosed, ThresholdCrossed
from contracts.money import Unit
from kit import outbox
from kit.database import SOURCE
from kit.errors import MissingReferentError
from kit.ids import fact_id
from ledger.domain.book import AccountBook
from ledger.domain.grants import Grant
from ledger.domain.page import ClosedPeriod
from ledger.domain.renewal import due_at, settle
from ledger.domain.snapshot import Terms, encoded_snapshot, passed_soft_limits, snapshot
from ledger.domain.thresholds import Crossing
from ledger.repository.accounts import lock_accounts
from ledger.repository.budgets import list_budgets, update_spent
from ledger.repository.grants import list_burnable, list_ending_after
from ledger.repository.overage import accrue
from ledger.repository.transfers import save_books
from ledger.service.catalogue import Catalogue
from rating import PriceBook

OVERAGE_NEAR_PERCENT: Final = 20
"""With no more than this left below the ceiling, the account is told that it is near."""


async def lock_book(
    session: AsyncSession,
    account_id: UUID,
    *,
    now: datetime,
    also: Sequence[UUID] = (),
    catalogue: Catalogue | None = None,
) -> AccountBook:
    """An account's book under its lock, with the grants that `also` names; an unknown account parks the event."""
    books = await lock_books(session, [account_id], alive_at=now, now=now, also=also, catalogue=catalogue)
    if account_id not in books:
        raise MissingReferentError(account_referent(account_id))
    return books[account_id]


async def lock_books(
    session: AsyncSession,
    account_ids: Collection[UUID],
    *,
    alive_at: datetime,
    now: datetime,
    also: Sequence[UUID] = (),
    catalogue: Catalogue | None = None,
) -> dict[UUID, AccountBook]:
    """Lock first, read grants in a statement of its own: what is joined to a locked row is stale (money.md 17).

    What was due by now (a period's end, an expiry) is posted before anything else.
    """
    accounts = await lock_accounts(session, account_ids)
    grants = await list_burnable(session, list(accounts), alive_at=min(alive_at, now), also=also)
    budgets = await list_budgets(session, [account.id for account in accounts.values() if account.has_budgets])
    books: dict[UUID, AccountBook] = {}
    for account_id, account in accounts.items():
        book = AccountBook(account, grants[account_id], now=now, budgets=budgets.get(account_id, ()))
        books[account_id] = book
        if account.due_at is not None and account.due_at <= now:
            await _settle(session, book, catalogue or Catalogue())
    return books


async def save(session: AsyncSession, books: Collection[AccountBook], *, catalogue: Catalogue, now: datetime) -> None:
    """Write what was posted, raise each account's version, and announce its new admission state and thresholds."""
    if not books:
        return
    price_book = await catalogue.book_in_force(session, now=now)
    records: list[outbox.Record] = []
    source = session.info[SOURCE]
    terms_of: dict[tuple[str, int] | None, Terms] = {}
    for book in books:
        account = book.account
        account.version += 1
        account.due_at = due_at(book)
        terms = terms_of.get(account.plan)
        if terms is None:
            terms = terms_of[account.plan] = await catalogue.terms(session, account, book=price_book)
        events: list[Event] = _crossings(book, terms)
        if book.closed:
            events = [*events, *(_closed(book, period) for period in book.closed)]
        if events:
            records += [(event.type, event.key.encode(), event.encode(source)) for event in events]
        state = snapshot(account, book.grants, terms=terms, now=now, applied=book.applied, budgets=book.budgets)
        key = state["account_id"].encode()
        records.append((BalanceChanged.type, key, encoded_snapshot(state, source=source, now=now)))
        if book.accruals:
            await accrue(session, account.id, book.accruals)
    await save_books(session, books)
    await update_spent(session, [budget for book in books for budget in book.budgets if budget.is_moved])
    await outbox.add_records(session, records)


async def state_of(
    session: AsyncSession,
    account: Any,
    grants: Sequence[Grant],
    *,
    catalogue: Catalogue,
    book: PriceBook,
    now: datetime,
    applied: Sequence[UUID] = (),
) -> dict[str, Any]:
    """The admission state of an account that is read and not changed."""
    terms = await catalogue.terms(session, account, book=book)
    budgets = (await list_budgets(session, [account.id] if account.has_budgets else [])).get(account.id, [])
    return snapshot(account, grants, terms=terms, now=now, applied=applied, budgets=budgets)


def account_referent(account_id: UUID) -> str:
    return f"account:{account_id}"


async def _settle(session: AsyncSession, book: AccountBook, catalogue: Catalogue) -> None:
    account, plan = book.account, None
    if account.period_start is not None:
        # A closing period states what was granted and used, so grants that are used up are read as well.
        book.add(await list_ending_after(session, account.id, after=account.period_start))
        plan = await _plan_of(session, book, catalogue)
    settle(book, plan)


async def _plan_of(session: AsyncSession, book: AccountBook, catalogue: Catalogue) -> PlanPublished | None:
    return await catalogue.plan(session, *book.account.plan) if book.account.plan else None


def _crossings(book: AccountBook, terms: Terms) -> list[Event]:
    found = book.cross_thresholds()
    if terms.plan is not None and book.account.period_end is not None:
        periodic = [one for one in _periodic(book, terms) if one.key not in book.account.crossed]
        book.note_crossed(periodic)
        found = [*found, *periodic]
    return [crossed_event(book, one) for one in found]


def _periodic(book: AccountBook, terms: Terms) -> list[Crossing]:
    """Levels of the running period: the plan's soft limits, and the end of what may be billed later."""
    assert terms.plan is not None
    account = book.account
    found = [
        Crossing("soft_limit", f"soft:{limit.unit}:{limit.amount}", limit.unit, limit.amount, 0, limit.then)
        for limit in passed_soft_limits(account, terms.plan)
    ]
    ceiling_nano = terms.rates.overage_ceiling(account)
    left_nano = ceiling_nano - account.period_overage_nano
    if ceiling_nano > 0 and left_nano <= 0:
        found.append(Crossing("overage_ceiling", "overage", Unit.CREDIT, ceiling_nano, 0))
    elif 0 < left_nano * 100 <= ceiling_nano * OVERAGE_NEAR_PERCENT:
        found.append(Crossing("overage_ceiling", "overage:near", Unit.CREDIT, ceiling_nano, left_nano))
    return found


def crossed_event(book: AccountBook, crossing: Crossing) -> ThresholdCrossed:
    """The id names the level of this arming, so that it is told once (money.md 25)."""
    account = book.account
    return ThresholdCrossed(
        id=fact_id("threshold", account.id, crossing.key, account.arming),
        time=book.now,
        account_id=account.id,
        level=crossing.level,
        arming=account.arming,
        unit=crossing.unit,
        base=crossing.base,
        available=max(0, crossing.available),
        at=crossing.at,
    )


def _closed(book: AccountBook, period: ClosedPeriod) -> PeriodClosed:
    account_id = book.account.id
    return PeriodClosed(
        id=fact_id("period", account_id, period.plan_id, *map(str, (period.starts_at, period.ends_at)), period.unit),
        time=book.now,
        account_id=account_id,
        plan_id=period.plan_id,
        plan_version=period.plan_version,
        period_start=period.starts_at,
        period_end=period.ends_at,
        unit=period.unit,
        granted=period.granted,
        used=period.used,
        rolled_over=period.rolled_over,
        expired=period.expired,
        overage_nano=period.overage_nano,
        calls=period.calls,
    )

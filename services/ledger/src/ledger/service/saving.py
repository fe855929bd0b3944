"""The one way from a changed account to the database and to the gateways."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ledger import BalanceChanged, ThresholdCrossed
from contracts.money import Unit
from kit.database import SOURCE
from kit.errors import MissingReferentError
from kit.ids import fact_id
from ledger.domain.book import AccountBook
from ledger.domain.snapshot import encoded_snapshot, snapshot
from ledger.repository.accounts import lock_accounts
from ledger.repository.announcements import Record, insert_announcements
from ledger.repository.grants import list_grants
from ledger.repository.transfers import save_books
from ledger.service.catalogue import Catalogue


async def lock_book(
    session: AsyncSession, account_id: UUID, *, now: datetime, also: Sequence[UUID] = ()
) -> AccountBook:
    """An account's book under its lock, with the grants that `also` names; an unknown account parks the event."""
    books = await lock_books(session, [account_id], alive_at=now, now=now, also=also)
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
) -> dict[UUID, AccountBook]:
    """Lock first, read grants in a statement of its own: what is joined to a locked row is stale (money.md 17)."""
    accounts = await lock_accounts(session, account_ids)
    grants = await list_grants(session, list(accounts), alive_at=min(alive_at, now), also=also)
    return {account_id: AccountBook(account, grants[account_id], now=now) for account_id, account in accounts.items()}


async def save(session: AsyncSession, books: Collection[AccountBook], *, catalogue: Catalogue, now: datetime) -> None:
    """Write what was posted, raise each account's version, and announce its new admission state and thresholds."""
    if not books:
        return
    price_book = await catalogue.book_in_force(session, now=now)
    records: list[Record] = []
    source = session.info[SOURCE]
    for book in books:
        account = book.account
        account.version += 1
        records += [(event.type, event.key.encode(), event.encode(source)) for event in _crossings(book)]
        terms = await catalogue.terms(session, account, book=price_book)
        state = snapshot(account, book.grants, terms=terms, now=now, applied=book.applied)
        records.append((BalanceChanged.type, str(account.id).encode(), encoded_snapshot(state, source=source, now=now)))
    await save_books(session, books)
    await insert_announcements(session, records)


def account_referent(account_id: UUID) -> str:
    return f"account:{account_id}"


def _crossings(book: AccountBook) -> list[ThresholdCrossed]:
    account = book.account
    return [
        ThresholdCrossed(
            id=fact_id("threshold", account.id, level, account.arming),
            time=book.now,
            account_id=account.id,
            level=level,
            arming=account.arming,
            unit=Unit.CREDIT,
            base=account.armed_base,
            available=book.available_nano(),
        )
        for level in book.cross_thresholds()
    ]

from collections.abc import Iterable
from itertools import chain

from sqlalchemy.ext.asyncio import AsyncSession

from ledger.domain.book import AccountBook
from ledger.domain.transfers import Transfer
from ledger.repository.accounts import update_accounts
from ledger.repository.driver import driver
from ledger.repository.grants import insert_grants, update_remaining


async def insert_transfers(session: AsyncSession, transfers: Iterable[Transfer]) -> None:
    async with driver(session) as connection:
        await connection.copy_records_to_table("transfer", columns=Transfer._fields, records=transfers)


async def save_books(session: AsyncSession, books: Iterable[AccountBook]) -> None:
    """Write what was posted to locked accounts: grants, transfers, remains, and the account rows."""
    books = list(books)
    await insert_grants(session, [grant for book in books for grant in book.new_grants])
    await insert_transfers(session, chain.from_iterable(book.transfers for book in books))
    new = {grant.id for book in books for grant in book.new_grants}
    moved = [grant for book in books for grant in book.moved.values() if grant.id not in new]
    await update_remaining(session, moved)
    await update_accounts(session, [book.account for book in books])

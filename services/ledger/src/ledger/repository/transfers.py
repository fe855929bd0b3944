from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from ledger.domain.book import AccountBook
from ledger.domain.chain import GENESIS, extend
from ledger.domain.transfers import Transfer
from ledger.repository.accounts import update_accounts
from ledger.repository.binary import copy_rows
from ledger.repository.driver import driver
from ledger.repository.grants import insert_grants, update_remaining
from ledger.repository.packed_transfers import PACKED, packed_transfers

_NAMES: Final = ", ".join(Transfer._fields)


async def save_books(session: AsyncSession, books: Iterable[AccountBook]) -> None:
    """Write what was posted to locked accounts: grants, transfers with their hashes, remains, and the account rows."""
    books = list(books)
    await insert_grants(session, [grant for book in books for grant in book.new_grants])
    await _insert_linked(session, [book for book in books if book.transfers])
    new = {grant.id for book in books for grant in book.new_grants}
    moved = [grant for book in books for grant in book.moved.values() if grant.id not in new]
    await update_remaining(session, moved)
    await update_accounts(session, [book.account for book in books])


async def _insert_linked(session: AsyncSession, books: Sequence[AccountBook]) -> None:
    """Append each book's transfers to its account's chain; the new heads go to the account rows."""
    rows: list[bytes] = []
    for book in books:
        account, transfers = book.account, book.transfers
        head = account.head
        if head is None:
            first = transfers[0].seq
            head = GENESIS if first == 1 else await link_older(session, account.id, before=first)
        hashes = extend(head, transfers)
        account.head = hashes[-1]
        rows += packed_transfers(transfers, hashes)
    if rows:
        async with driver(session) as connection:
            await copy_rows(connection, "transfer", columns=PACKED, rows=rows)


async def link_older(session: AsyncSession, account_id: UUID, *, before: int) -> bytes:
    """Hash the transfers from before there was a chain; ask under the account's lock. Returns the last one's hash."""
    async with driver(session) as connection:
        rows = await connection.fetch(
            f"SELECT {_NAMES} FROM transfer WHERE account_id = $1 AND seq < $2 ORDER BY seq",  # noqa: S608  # our own column names
            account_id,
            before,
        )
        hashes = extend(GENESIS, [Transfer(*row) for row in rows])
        await connection.execute(
            "SELECT link_transfers($1, $2, $3)",
            account_id,
            [row["seq"] for row in rows],
            hashes,
        )
    return hashes[-1] if hashes else GENESIS

"""Gives transfers their hashes that were booked before there was a chain."""

from collections.abc import Callable
from typing import Final
from uuid import UUID

from kit.database import Database
from ledger.repository.accounts import list_unchained, lock_accounts, update_accounts
from ledger.repository.transfers import link_older

PAGE: Final = 100


async def chain_older(database: Database, progress: Callable[[int], None] | None = None) -> int:
    """Chain every account that has no head yet, a page per transaction, so that it may be broken off; how many."""
    chained, after = 0, UUID(int=0)
    while True:
        async with database.transaction() as session:
            page = await list_unchained(session, after=after, limit=PAGE)
            accounts = [one for one in (await lock_accounts(session, page)).values() if one.head is None]
            for account in accounts:
                account.head = await link_older(session, account.id, before=account.transfer_seq + 1)
            await update_accounts(session, accounts)
        if not page:
            return chained
        after, chained = page[-1], chained + len(accounts)
        if progress is not None:
            progress(chained)

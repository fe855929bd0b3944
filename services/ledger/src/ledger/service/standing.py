"""Balances at any instant, and the marks that keep asking for them cheap."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from kit.database import Database
from ledger.domain.grants import FOREVER
from ledger.domain.positions import Position, Standing
from ledger.repository import marks as repository
from ledger.repository.grants import list_grants

STEP: Final = 5_000
"""Transfers between two marks: what a reader adds up at most, but for what was booked since housekeeping came by."""
_ACCOUNTS_AT_ONCE: Final = 100


async def standing_at(session: AsyncSession, account_id: UUID, at: datetime) -> Standing:
    """The rows with `booked_at <= at` and `effective_at <= at` (money.md 21)."""
    mark = await repository.find_mark(session, account_id, at=at)
    position = Position.decoded(mark.sums) if mark else Position()
    until = await repository.find_seq_after(session, account_id, at)
    counted, ahead = await repository.sum_counted(
        session, account_id, after=mark.seq if mark else 0, until=until, at=at
    )
    position.add(counted)
    position.add(ahead, sign=-1)
    named = position.grant_ids()
    grants = (await list_grants(session, [account_id], alive_at=FOREVER, also=named))[account_id]
    return Standing(account_id, at, position, [grant for grant in grants if grant.id in set(named)])


async def mark_balances(database: Database, *, step: int = STEP) -> int:
    """Set the marks that are due, each in a transaction of its own; how many."""
    made = 0
    while True:
        async with database.reading() as session:
            due = await repository.list_unmarked(session, step=step, limit=_ACCOUNTS_AT_ONCE)
        for account in due:
            async with database.transaction() as session:
                made += await _mark(session, account.id, newest=account.transfer_seq, step=step)
        if len(due) < _ACCOUNTS_AT_ONCE:
            return made


async def _mark(session: AsyncSession, account_id: UUID, *, newest: int, step: int) -> int:
    last = await repository.find_mark(session, account_id)
    position = Position.decoded(last.sums) if last else Position()
    seq, booked_at, made = (last.seq, last.booked_at, 0) if last else (0, None, 0)
    while seq + step <= newest:
        sums, until = await repository.sum_between(session, account_id, after=seq, until=seq + step)
        position.add(sums)
        booked_at = max(until, booked_at) if booked_at else until
        seq += step
        await repository.insert_mark(session, account_id, seq=seq, booked_at=booked_at, sums=position.encoded())
        made += 1
    return made

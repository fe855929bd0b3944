"""Daily heads of the accounts' chains (money.md 22)."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


class Head(NamedTuple):
    """Where an account's chain stood."""

    account_id: UUID
    sequence: int
    hash: bytes
    balance_nano: int


# By primary keys only: per account one look at its last seal and one at its newest transfer before the day's end.
_HEADS: Final = """
SELECT page.id, head.seq, head.hash, coalesce(balance.balance_after, 0)
FROM (SELECT id FROM account WHERE id > :after ORDER BY id LIMIT :accounts) AS page
LEFT JOIN LATERAL (
    SELECT sequence FROM sealed_head WHERE account_id = page.id ORDER BY day DESC LIMIT 1
) AS sealed ON true
CROSS JOIN LATERAL (
    SELECT seq, hash FROM transfer WHERE account_id = page.id AND booked_at < :ends_at ORDER BY seq DESC LIMIT 1
) AS head
LEFT JOIN LATERAL (
    SELECT balance_after FROM transfer
    WHERE account_id = page.id AND seq <= head.seq AND balance_after IS NOT NULL AND unit = 'credit'
    ORDER BY seq DESC LIMIT 1
) AS balance ON true
WHERE head.hash IS NOT NULL AND head.seq > coalesce(sealed.sequence, 0) ORDER BY page.id
"""
_LAST: Final = (
    "SELECT max(id::text)::uuid FROM (SELECT id FROM account WHERE id > :after ORDER BY id LIMIT :accounts) AS p"
)


async def first_open_day(session: AsyncSession) -> date | None:
    """The day that sealing goes on with: one that was begun, or the one after the last that is done."""
    day: date | None = await session.scalar(
        text("SELECT CASE WHEN is_done THEN day + 1 ELSE day END FROM sealed_day ORDER BY day DESC LIMIT 1")
    )
    return day


async def begin_day(session: AsyncSession, day: date) -> UUID | None:
    """Lock the day's row, made where it is missing; after which account to go on. None when it is done."""
    await session.execute(
        text("INSERT INTO sealed_day (day, next_account, is_done) VALUES (:day, :nil, false) ON CONFLICT DO NOTHING"),
        {"day": day, "nil": UUID(int=0)},
    )
    row = (
        await session.execute(
            text("SELECT next_account, is_done FROM sealed_day WHERE day = :day FOR UPDATE"), {"day": day}
        )
    ).one()
    return None if row.is_done else row.next_account


async def list_heads(session: AsyncSession, *, after: UUID, accounts: int, ends_at: datetime) -> list[Head]:
    """The heads of the next accounts as they stood before an instant, of those that moved since their last seal."""
    rows = await session.execute(text(_HEADS), {"after": after, "accounts": accounts, "ends_at": ends_at})
    return [Head(*row) for row in rows]


async def find_last_account(session: AsyncSession, *, after: UUID, accounts: int) -> UUID | None:
    """Where the page of the next accounts ends."""
    last: UUID | None = await session.scalar(text(_LAST), {"after": after, "accounts": accounts})
    return last


async def insert_seals(session: AsyncSession, heads: Sequence[Head], *, day: date, now: datetime) -> None:
    if heads:
        await session.execute(
            text(
                "INSERT INTO sealed_head (account_id, day, sequence, hash, balance_nano, sealed_at)"
                " VALUES (:account_id, :day, :sequence, :hash, :balance_nano, :now)"
            ),
            [{**head._asdict(), "day": day, "now": now} for head in heads],
        )


async def end_page(session: AsyncSession, day: date, *, last: UUID | None) -> None:
    """Note how far the day is sealed; `last` None: it is done."""
    await session.execute(
        text("UPDATE sealed_day SET next_account = coalesce(:last, next_account), is_done = :done WHERE day = :day"),
        {"day": day, "last": last, "done": last is None},
    )

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from ledger import tables

_ON_BOOKS_MARKUP = text(
    """
    SELECT a.id FROM account AS a
    LEFT JOIN plan AS p ON p.plan_id = a.plan_id AND p.version = a.plan_version
    WHERE a.markup_bps IS NULL AND (p.body ->> 'markup_bps') IS NULL
        AND (CAST(:after AS uuid) IS NULL OR a.id > CAST(:after AS uuid))
    ORDER BY a.id LIMIT :limit
    """
)
_SPENT_BY_DAY = text(
    """
    SELECT day, sum(value_nano)::bigint AS value_nano, sum(price_nano)::bigint AS price_nano
    FROM usage_day WHERE account_id = :account_id AND day >= :first GROUP BY day ORDER BY day
    """
)


async def find_reannouncement(session: AsyncSession, version: int) -> Any | None:
    """How far a price book's markup is announced, locked against a second announcer."""
    columns = tables.reannouncement.c
    rows = await session.execute(
        select(tables.reannouncement).where(columns.price_book_version == version).with_for_update(skip_locked=True)
    )
    return rows.one_or_none()


async def insert_reannouncement(session: AsyncSession, version: int, *, finished_at: datetime | None) -> None:
    await session.execute(
        insert(tables.reannouncement)
        .values(price_book_version=version, finished_at=finished_at)
        .on_conflict_do_nothing()
    )


async def update_reannouncement(
    session: AsyncSession, version: int, *, after: UUID | None, finished_at: datetime | None
) -> None:
    columns = tables.reannouncement.c
    await session.execute(
        tables.reannouncement.update()
        .where(columns.price_book_version == version)
        .values(after_account_id=after, finished_at=finished_at)
    )


async def list_on_books_markup(session: AsyncSession, *, after: UUID | None, limit: int) -> list[UUID]:
    """Accounts whose markup is the price book's own, in order of id."""
    return list((await session.scalars(_ON_BOOKS_MARKUP, {"after": after, "limit": limit})).all())


async def list_watchful(session: AsyncSession, *, after: UUID | None, limit: int) -> list[UUID]:
    """Accounts with thresholds of their own, in order of id."""
    columns = tables.account.c
    query = select(columns.id).where(columns.levels.is_not(None))
    if after is not None:
        query = query.where(columns.id > after)
    return list((await session.scalars(query.order_by(columns.id).limit(limit))).all())


async def list_spent_by_day(session: AsyncSession, account_id: UUID, *, first: date) -> Sequence[Any]:
    """Per day since, what calls were worth and what of it was asked in credits."""
    return (await session.execute(_SPENT_BY_DAY, {"account_id": account_id, "first": first})).all()

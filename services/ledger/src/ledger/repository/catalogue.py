from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.billing import PlanPublished
from ledger import tables
from rating import PriceBook


async def insert_price_book(session: AsyncSession, book: PriceBook, *, source_digest: bytes, now: datetime) -> bool:
    """False when the version is taken."""
    inserted = await session.execute(
        insert(tables.price_book)
        .values(
            version=book.version,
            effective_at=book.effective_at,
            published_at=now,
            source_digest=source_digest,
            body=book.model_dump(mode="json"),
        )
        .on_conflict_do_nothing()
        .returning(tables.price_book.c.version)
    )
    return inserted.first() is not None


async def list_price_books(session: AsyncSession) -> list[Any]:
    """Version, effective_at, published_at and source digest of each, oldest first."""
    columns = tables.price_book.c
    rows = await session.execute(
        select(columns.version, columns.effective_at, columns.published_at, columns.source_digest).order_by(
            columns.version
        )
    )
    return list(rows)


async def list_price_book_bodies(session: AsyncSession, versions: Collection[int]) -> dict[int, PriceBook]:
    columns = tables.price_book.c
    rows = await session.execute(select(columns.version, columns.body).where(columns.version.in_(versions)))
    return {row.version: PriceBook.model_validate(row.body) for row in rows}


async def insert_plan(session: AsyncSession, plan: PlanPublished) -> bool:
    """False when the version is there already."""
    inserted = await session.execute(
        insert(tables.plan)
        .values(
            plan_id=plan.plan_id,
            version=plan.version,
            is_default=plan.default,
            effective_at=plan.effective_at,
            body=plan.model_dump(mode="json"),
        )
        .on_conflict_do_nothing()
        .returning(tables.plan.c.version)
    )
    return inserted.first() is not None


async def find_plan(session: AsyncSession, plan_id: str, version: int) -> PlanPublished | None:
    columns = tables.plan.c
    body = await session.scalar(select(columns.body).where(columns.plan_id == plan_id, columns.version == version))
    return PlanPublished.model_validate(body) if body else None


async def find_default_plan(session: AsyncSession, *, at: datetime) -> PlanPublished | None:
    """The default plan's version in force."""
    columns = tables.plan.c
    body = await session.scalar(
        select(columns.body)
        .where(columns.is_default, columns.effective_at <= at)
        .order_by(columns.effective_at.desc(), columns.version.desc())
        .limit(1)
    )
    return PlanPublished.model_validate(body) if body else None

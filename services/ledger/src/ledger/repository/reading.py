"""What callers may look at."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from ledger import tables
from ledger.domain.requests import RequestFilter
from ledger.domain.transfers import PLATFORM_KINDS

# Admission and id are a minute apart at most; a day more costs nothing and keeps the partitions that matter.
_MARGIN = timedelta(days=1)


async def list_transfers(session: AsyncSession, account_id: UUID, *, before: int | None, limit: int) -> Sequence[Any]:
    """What moved on the customer's side, newest first."""
    columns = tables.transfer.c
    query = select(tables.transfer).where(columns.account_id == account_id, columns.kind.not_in(PLATFORM_KINDS))
    if before is not None:
        query = query.where(columns.seq < before)
    return (await session.execute(query.order_by(columns.seq.desc()).limit(limit))).all()


async def list_transfers_between(session: AsyncSession, account_id: UUID, *, first: int, last: int) -> Sequence[Any]:
    columns = tables.transfer.c
    query = select(tables.transfer).where(columns.account_id == account_id, columns.seq.between(first, last))
    return (await session.execute(query.order_by(columns.seq))).all()


async def list_requests(
    session: AsyncSession, wanted: RequestFilter, *, before: UUID | None, limit: int
) -> Sequence[Any]:
    """Calls with their charges, newest first."""
    detail = tables.usage_detail.c
    query = _requests().where(detail.account_id == wanted.account_id, *_conditions(wanted))
    if before is not None:
        query = query.where(detail.id < before)
    return (await session.execute(query.order_by(detail.id.desc()).limit(limit))).all()


async def find_request(session: AsyncSession, account_id: UUID, call_id: UUID) -> Any | None:
    detail = tables.usage_detail.c
    rows = await session.execute(_requests().where(detail.account_id == account_id, detail.id == call_id))
    return rows.one_or_none()


async def list_charged(session: AsyncSession, account_id: UUID, calls: Sequence[UUID]) -> list[UUID]:
    """Those of the calls that are booked."""
    columns = tables.charge.c
    rows = await session.execute(select(columns.id).where(columns.account_id == account_id, columns.id.in_(calls)))
    return [row.id for row in rows]


async def list_grant_sources(session: AsyncSession, grant_ids: Sequence[UUID]) -> dict[UUID, str]:
    columns = tables.grant.c
    rows = await session.execute(select(columns.id, columns.source).where(columns.id.in_(grant_ids)))
    return {row.id: row.source for row in rows}


def _requests() -> Any:
    detail, charge = tables.usage_detail, tables.charge
    same = and_(charge.c.account_id == detail.c.account_id, charge.c.id == detail.c.id)
    return select(
        detail,
        charge.c.price_nano,
        charge.c.cost_nano,
        charge.c.unit,
        charge.c.price_book_version,
        charge.c.plan_id,
        charge.c.plan_version,
        charge.c.markup_bps,
        charge.c.model.label("charged_model"),
        charge.c.booked_at,
    ).join(charge, same)


def _conditions(wanted: RequestFilter) -> list[Any]:
    detail = tables.usage_detail.c
    equal = {
        detail.user_id: wanted.user_id,
        detail.outcome: wanted.outcome,
        detail.api_key_id: wanted.api_key_id,
        tables.charge.c.model: wanted.model,
    }
    conditions: list[Any] = [column == value for column, value in equal.items() if value is not None]
    if wanted.admitted_from is not None:
        conditions += [
            detail.admitted_at >= wanted.admitted_from,
            detail.id >= func.uuid7_floor(wanted.admitted_from - _MARGIN),
        ]
    if wanted.admitted_to is not None:
        conditions += [
            detail.admitted_at < wanted.admitted_to,
            detail.id < func.uuid7_floor(wanted.admitted_to + _MARGIN),
        ]
    return conditions

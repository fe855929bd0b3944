"""What callers may look at."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from ledger import tables
from ledger.domain.grants import FOREVER, Grant
from ledger.domain.requests import RequestFilter, TransferFilter
from ledger.domain.transfers import PLATFORM_KINDS, TransferKind
from ledger.repository.grants import list_grants
from ledger.repository.marks import find_seq_after, find_seq_before

# Admission and id are a minute apart at most; a day more costs nothing and keeps the partitions that matter.
_MARGIN = timedelta(days=1)


# The words of the partial index `ix_transfer_rare`, so that it is used.
_RARE = text("kind NOT IN ('deduction', 'cost', 'cost_reversal')")


async def list_transfers(
    session: AsyncSession, wanted: TransferFilter, *, before: int | None, limit: int
) -> Sequence[Any]:
    """What moved on the customer's side, newest first."""
    columns = tables.transfer.c
    query = select(tables.transfer).where(columns.account_id == wanted.account_id, columns.kind.not_in(PLATFORM_KINDS))
    if wanted.kind is not None:
        query = query.where(columns.kind == wanted.kind)
        query = query if wanted.kind == TransferKind.DEDUCTION else query.where(_RARE)
    if wanted.booked_from is not None:
        first = await find_seq_before(session, wanted.account_id, wanted.booked_from)
        query = query.where(columns.seq > first, columns.booked_at >= wanted.booked_from)
    if wanted.booked_to is not None:
        last = await find_seq_after(session, wanted.account_id, wanted.booked_to)
        query = query.where(columns.seq <= last, columns.booked_at < wanted.booked_to)
    if before is not None:
        query = query.where(columns.seq < before)
    return (await session.execute(query.order_by(columns.seq.desc()).limit(limit))).all()


async def list_requests(
    session: AsyncSession, wanted: RequestFilter, *, before: UUID | None, limit: int
) -> Sequence[Any]:
    """Calls by their charges, newest first; who made an archived one is not known here any more."""
    charge = tables.charge.c
    query = _requests().where(charge.account_id == wanted.account_id, *_conditions(wanted))
    if before is not None:
        query = query.where(charge.id < before)
    return (await session.execute(query.order_by(charge.id.desc()).limit(limit))).all()


async def find_request(session: AsyncSession, account_id: UUID, call_id: UUID) -> Any | None:
    """A call by its charge, which is kept."""
    charge = tables.charge.c
    rows = await session.execute(_requests().where(charge.account_id == account_id, charge.id == call_id))
    return rows.one_or_none()


async def list_given(session: AsyncSession, account_id: UUID) -> list[Grant]:
    """All grants that an account ever had and were not taken back before they began."""
    columns = tables.grant.c
    rows = await session.execute(select(columns.id).where(columns.account_id == account_id, ~columns.is_withdrawn))
    ids = [row.id for row in rows]
    return (await list_grants(session, [account_id], alive_at=FOREVER, also=ids))[account_id]


async def list_charged(session: AsyncSession, account_id: UUID, calls: Sequence[UUID]) -> list[UUID]:
    """Those of the calls that are booked."""
    columns = tables.charge.c
    rows = await session.execute(select(columns.id).where(columns.account_id == account_id, columns.id.in_(calls)))
    return [row.id for row in rows]


async def list_grant_sources(session: AsyncSession, grant_ids: Sequence[UUID]) -> dict[UUID, str]:
    columns = tables.grant.c
    rows = await session.execute(select(columns.id, columns.source).where(columns.id.in_(grant_ids)))
    return {row.id: row.source for row in rows}


_CHARGED = (
    "price_nano",
    "cost_nano",
    "unit",
    "price_book_version",
    "plan_id",
    "plan_version",
    "markup_bps",
    "model",
    "plan_tokens",
    "plan_requests",
    "overage_nano",
    "recognised_nano",
    "booked_at",
)


def _requests() -> Any:
    """Charges with their detail; its columns are None once that is archived."""
    detail, charge = tables.usage_detail, tables.charge
    same = and_(charge.c.account_id == detail.c.account_id, charge.c.id == detail.c.id)
    own = {"id", "account_id", "outcome", "admitted_at"}
    return select(
        *(charge.c[name] for name in (*sorted(own), *_CHARGED)),
        *(column for column in detail.c if column.name not in own),
    ).select_from(charge.outerjoin(detail, same))


def _conditions(wanted: RequestFilter) -> list[Any]:
    detail, charge = tables.usage_detail.c, tables.charge.c
    equal = {
        detail.user_id: wanted.user_id,
        charge.outcome: wanted.outcome,
        detail.api_key_id: wanted.api_key_id,
        detail.project_id: wanted.project_id,
        charge.model: wanted.model,
    }
    conditions: list[Any] = [column == value for column, value in equal.items() if value is not None]
    if wanted.min_price_nano is not None:
        conditions.append(charge.price_nano >= wanted.min_price_nano)
    if wanted.admitted_from is not None:
        floor = func.uuid7_floor(wanted.admitted_from - _MARGIN)
        conditions += [charge.admitted_at >= wanted.admitted_from, charge.id >= floor]
    if wanted.admitted_to is not None:
        ceiling = func.uuid7_floor(wanted.admitted_to + _MARGIN)
        conditions += [charge.admitted_at < wanted.admitted_to, charge.id < ceiling]
    return conditions


async def find_charge(session: AsyncSession, account_id: UUID, call_id: UUID) -> Any | None:
    columns = tables.charge.c
    rows = await session.execute(select(tables.charge).where(columns.account_id == account_id, columns.id == call_id))
    return rows.one_or_none()


async def list_charge_transfers(session: AsyncSession, charge: Any) -> Sequence[Any]:
    """What a call moved when it was booked, found by when that was: its detail may be archived."""
    columns = tables.transfer.c
    after = await find_seq_before(session, charge.account_id, charge.booked_at)
    until = await find_seq_after(session, charge.account_id, charge.booked_at)
    query = select(tables.transfer).where(
        columns.account_id == charge.account_id,
        columns.seq > after,
        columns.seq <= until,
        columns.booked_at == charge.booked_at,
        columns.charge_id == charge.id,
    )
    return (await session.execute(query.order_by(columns.seq))).all()


async def list_corrections(session: AsyncSession, account_id: UUID, call_id: UUID) -> Sequence[Any]:
    """What was given back or charged anew for a call after it was booked."""
    columns = tables.transfer.c
    query = select(tables.transfer).where(columns.account_id == account_id, columns.charge_id == call_id, _RARE)
    return (await session.execute(query.order_by(columns.seq))).all()

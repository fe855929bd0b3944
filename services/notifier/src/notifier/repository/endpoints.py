"""Endpoints of accounts: kept, found for a delivery, told apart by what they want."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import any_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from notifier.domain.endpoints import Endpoint, SealedEndpoint
from notifier.tables import EndpointRow


async def insert_endpoint(session: AsyncSession, values: Mapping[str, Any]) -> Endpoint:
    row = (await session.scalars(insert(EndpointRow).values(**values).returning(EndpointRow))).one()
    return _endpoint(row)


async def lock_account(session: AsyncSession, account_id: UUID) -> int:
    """How many endpoints the account has; nobody else makes one before this transaction ends."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(account_id), 0))))
    counted = select(func.count()).select_from(EndpointRow).where(EndpointRow.account_id == account_id)
    return await session.scalar(counted) or 0


async def list_endpoints(session: AsyncSession, account_id: UUID) -> list[Endpoint]:
    """An account's endpoints, oldest first; there are few."""
    rows = await session.scalars(
        select(EndpointRow).where(EndpointRow.account_id == account_id).order_by(EndpointRow.created_at, EndpointRow.id)
    )
    return [_endpoint(row) for row in rows]


async def find_endpoint(session: AsyncSession, endpoint_id: UUID, *, account_id: UUID | None) -> Endpoint | None:
    """The endpoint; None when there is none, or not in this account."""
    query = select(EndpointRow).where(EndpointRow.id == endpoint_id)
    if account_id is not None:
        query = query.where(EndpointRow.account_id == account_id)
    row = (await session.scalars(query)).first()
    return _endpoint(row) if row else None


async def find_sealed(session: AsyncSession, endpoint_id: UUID) -> SealedEndpoint | None:
    row = await session.get(EndpointRow, endpoint_id)
    if row is None:
        return None
    return SealedEndpoint(
        id=row.id,
        channel=row.channel,
        state=row.state,
        language=row.language,
        url_sealed=row.url_sealed,
        secret_sealed=row.secret_sealed,
        old_secret_sealed=row.old_secret_sealed,
        old_secret_until=row.old_secret_until,
    )


async def update_endpoint(
    session: AsyncSession, endpoint_id: UUID, *, account_id: UUID, values: Mapping[str, Any]
) -> Endpoint | None:
    row = (
        await session.scalars(
            update(EndpointRow)
            .where(EndpointRow.id == endpoint_id, EndpointRow.account_id == account_id)
            .values(**values)
            .returning(EndpointRow),
            execution_options={"synchronize_session": False, "populate_existing": True},
        )
    ).first()
    return _endpoint(row) if row else None


async def delete_endpoint(session: AsyncSession, endpoint_id: UUID, *, account_id: UUID) -> bool:
    """False when the account has no such endpoint."""
    deleted = await session.execute(
        delete(EndpointRow)
        .where(EndpointRow.id == endpoint_id, EndpointRow.account_id == account_id)
        .returning(EndpointRow.id)
    )
    return deleted.first() is not None


async def list_interested(session: AsyncSession, account_id: UUID, *, kind: str) -> Sequence[tuple[UUID, str]]:
    """Id and channel of the account's active endpoints that want this kind."""
    rows = await session.execute(
        select(EndpointRow.id, EndpointRow.channel).where(
            EndpointRow.account_id == account_id,
            EndpointRow.state == "active",
            or_(EndpointRow.kinds.is_(None), any_(EndpointRow.kinds) == kind),
        )
    )
    return [(row[0], row[1]) for row in rows]


async def note_success(session: AsyncSession, endpoint_id: UUID) -> None:
    await session.execute(
        update(EndpointRow)
        .where(EndpointRow.id == endpoint_id, EndpointRow.failing_since.is_not(None))
        .values(failing_since=None)
    )


async def note_failure(session: AsyncSession, endpoint_id: UUID, *, now: datetime) -> datetime | None:
    """Since when the endpoint has taken nothing; None when it is gone or disabled already."""
    return await session.scalar(
        update(EndpointRow)
        .where(EndpointRow.id == endpoint_id, EndpointRow.state == "active")
        .values(failing_since=func.coalesce(EndpointRow.failing_since, now))
        .returning(EndpointRow.failing_since)
    )


async def disable(session: AsyncSession, endpoint_id: UUID, *, reason: str) -> Endpoint | None:
    """The endpoint; None when it was not active."""
    row = (
        await session.scalars(
            update(EndpointRow)
            .where(EndpointRow.id == endpoint_id, EndpointRow.state == "active")
            .values(state="disabled", disabled_reason=reason)
            .returning(EndpointRow),
            execution_options={"synchronize_session": False, "populate_existing": True},
        )
    ).first()
    return _endpoint(row) if row else None


def _endpoint(row: EndpointRow) -> Endpoint:
    return Endpoint(
        id=row.id,
        account_id=row.account_id,
        channel=row.channel,
        description=row.description,
        shown=row.shown,
        kinds=tuple(row.kinds) if row.kinds is not None else None,
        language=row.language,
        state=row.state,
        failing_since=row.failing_since,
        disabled_reason=row.disabled_reason,
        old_secret_until=row.old_secret_until,
        created_at=row.created_at,
    )

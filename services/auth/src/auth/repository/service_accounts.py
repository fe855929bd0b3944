"""Service accounts: users that are machines."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.machines import Machine, ServiceAccount
from auth.repository.rows import columns, made
from auth.tables import MemberRow, ServiceAccountRow, UserRow


async def insert_service_account(session: AsyncSession, account: ServiceAccount) -> None:
    await session.execute(insert(ServiceAccountRow).values(asdict(account)))


async def is_machine(session: AsyncSession, user_id: UUID) -> bool:
    return await session.get(ServiceAccountRow, user_id) is not None


async def count_active(session: AsyncSession, account_id: UUID) -> int:
    return await session.scalar(select(func.count()).select_from(_machines(account_id).subquery())) or 0


async def lock_machine(session: AsyncSession, account_id: UUID, machine_id: UUID) -> Machine | None:
    """One that is not deleted, its membership locked."""
    statement = _machines(account_id).where(ServiceAccountRow.id == machine_id).with_for_update(of=MemberRow)
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else _machine(row)


async def list_machines(session: AsyncSession, account_id: UUID, *, before: UUID | None, limit: int) -> list[Machine]:
    """Those that are not deleted, newest first."""
    statement = _machines(account_id)
    if before is not None:
        statement = statement.where(ServiceAccountRow.id < before)
    rows = await session.execute(statement.order_by(ServiceAccountRow.id.desc()).limit(limit))
    return [_machine(row) for row in rows]


async def update_name(session: AsyncSession, machine_id: UUID, *, name: str) -> None:
    await session.execute(update(ServiceAccountRow).where(ServiceAccountRow.id == machine_id).values(name=name))


def _machines(account_id: UUID) -> Select[Any]:
    return (
        select(
            *columns(ServiceAccountRow, ServiceAccount),
            MemberRow.role,
            MemberRow.budgets,
            UserRow.state,
        )
        .join(UserRow, UserRow.id == ServiceAccountRow.id)
        .join(
            MemberRow,
            (MemberRow.user_id == ServiceAccountRow.id) & (MemberRow.account_id == ServiceAccountRow.account_id),
        )
        .where(ServiceAccountRow.account_id == account_id, MemberRow.state == "active")
    )


def _machine(row: Any) -> Machine:
    return Machine(made(ServiceAccount, row), row.role, row.state, tuple(row.budgets))

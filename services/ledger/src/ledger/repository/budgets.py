from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.terms import BudgetScope
from ledger import tables
from ledger.domain.budgets import BudgetAccount
from ledger.repository.driver import driver

_COLUMNS: Final = 'account_id, scope, scope_id, "window", limit_nano, spent_nano, window_start'
_SPENDER: Final = {"member": "user_id", "project": "project_id", "api_key": "api_key_id"}


async def list_budgets(session: AsyncSession, account_ids: Collection[UUID]) -> dict[UUID, list[BudgetAccount]]:
    """Per account that has any; ask under the accounts' locks, of those that are said to have some."""
    if not account_ids:
        return {}
    async with driver(session) as connection:
        rows = await connection.fetch(
            f"SELECT {_COLUMNS} FROM budget WHERE account_id = ANY($1::uuid[])",  # noqa: S608  # our own column names
            list(account_ids),
        )
    found: dict[UUID, list[BudgetAccount]] = {}
    for row in rows:
        found.setdefault(row["account_id"], []).append(BudgetAccount(*row))
    return found


async def update_spent(session: AsyncSession, budgets: Sequence[BudgetAccount]) -> None:
    if not budgets:
        return
    async with driver(session) as connection:
        await connection.execute(
            """
            UPDATE budget AS b SET spent_nano = n.spent_nano, window_start = n.window_start
            FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::bigint[], $6::timestamptz[])
                AS n(account_id, scope, scope_id, "window", spent_nano, window_start)
            WHERE b.account_id = n.account_id AND b.scope = n.scope AND b.scope_id = n.scope_id
                AND b."window" = n."window"
            """,
            [budget.account_id for budget in budgets],
            [budget.scope for budget in budgets],
            [budget.scope_id for budget in budgets],
            [budget.window for budget in budgets],
            [budget.spent_nano for budget in budgets],
            [budget.window_start for budget in budgets],
        )


async def replace_budgets(
    session: AsyncSession, account_id: UUID, scope: BudgetScope, scope_id: UUID, *, budgets: Sequence[BudgetAccount]
) -> None:
    """Exactly these are what this account, member, project or key may spend."""
    columns = tables.budget.c
    await session.execute(
        tables.budget.delete().where(
            columns.account_id == account_id, columns.scope == scope, columns.scope_id == scope_id
        )
    )
    if budgets:
        names = ("account_id", "scope", "scope_id", "window", "limit_nano", "spent_nano", "window_start")
        rows = [{name: getattr(budget, name) for name in names} for budget in budgets]
        await session.execute(tables.budget.insert(), rows)


async def find_owner_version(session: AsyncSession, account_id: UUID, scope: BudgetScope, scope_id: UUID) -> int | None:
    columns = tables.budget_owner.c
    version: int | None = await session.scalar(
        select(columns.version).where(
            columns.account_id == account_id, columns.scope == scope, columns.scope_id == scope_id
        )
    )
    return version


async def upsert_owner(
    session: AsyncSession, account_id: UUID, scope: BudgetScope, scope_id: UUID, *, version: int
) -> None:
    await session.execute(
        insert(tables.budget_owner)
        .values(account_id=account_id, scope=scope, scope_id=scope_id, version=version)
        .on_conflict_do_update(index_elements=["account_id", "scope", "scope_id"], set_={"version": version})
    )


async def sum_spent(
    session: AsyncSession, account_id: UUID, scope: BudgetScope, scope_id: UUID, *, since: datetime | None
) -> int:
    """What the daily sums say was spent by them since a day began; everything when None."""
    spender = _SPENDER.get(scope)
    conditions = ["account_id = :account_id"]
    if spender:
        conditions.append(f"{spender} = :scope_id")
    if since is not None:
        conditions.append("day >= :day")
    values = {"account_id": account_id, "scope_id": scope_id, "day": since.date() if since else None}
    query = f"SELECT coalesce(sum(value_nano), 0) FROM usage_day WHERE {' AND '.join(conditions)}"  # noqa: S608
    used = {name: value for name, value in values.items() if f":{name}" in query}
    return int(await session.scalar(text(query), used) or 0)

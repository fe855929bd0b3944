"""Where the ledger's rows and the reference do not agree."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from ledger.domain.conservation import Books
from ledger.service.checking import check_books
from ledger.simulation.reference import Reference

_GRANTS: Final = """
SELECT source, unit, amount, starts_at, expires_at, created_at, remaining, burnt, expired, rolled
FROM "grant" WHERE account_id = :id AND NOT is_withdrawn
"""
_TOTALS: Final = """
SELECT CASE WHEN name LIKE 'grant:%' THEN 'customers' WHEN name LIKE 'debt:%' THEN 'debts' ELSE name END AS name,
    unit, sum(amount) AS balance
FROM (
    SELECT target AS name, unit, amount FROM transfer UNION ALL SELECT source, unit, -amount FROM transfer
) AS sides GROUP BY 1, 2
"""
_DAYS: Final = """
SELECT account_id, day::text AS day, plan_id, model, sum(calls), sum(price_nano), sum(cost_nano), sum(plan_tokens),
    sum(plan_requests), sum(overage_nano), sum(recognised_nano)
FROM usage_day GROUP BY 1, 2, 3, 4
"""
_ACCRUED: Final = "SELECT account_id, sum(amount_nano) AS amount FROM overage_accrual GROUP BY account_id"


async def differences_of(session: AsyncSession, reference: Reference, account: UUID) -> list[str]:
    """One account's grants, debt and plan."""
    standing = (
        await session.execute(
            text("SELECT debt_nano, plan_id, period_overage_nano FROM account WHERE id = :id"), {"id": account}
        )
    ).one()
    rows = await session.execute(text(_GRANTS), {"id": account})
    found = sorted((_plain(tuple(row)) for row in rows), key=repr)
    party = reference.parties[account]
    wanted = sorted((_plain(pot.row()) for pot in party.pots if not pot.is_withdrawn), key=repr)
    differences = [f"grant {row} is in the ledger only" for row in found if row not in wanted]
    differences += [f"grant {row} is in the reference only" for row in wanted if row not in found]
    if not differences and found != wanted:
        differences.append(f"there are {len(found)} grants in the ledger and {len(wanted)} in the reference")
    if tuple(standing[:2]) != (party.debt, party.plan.plan_id):
        said = f"debt and plan are {tuple(standing[:2])} in the ledger"
        differences.append(f"{said} and {(party.debt, party.plan.plan_id)} in the reference")
    return differences


async def differences_in_all(session: AsyncSession, reference: Reference) -> list[str]:
    """Every ledger account's sum, the days' sums, what accrued to be billed, and the ledger's own checks."""
    rows = await session.execute(text(_TOTALS))
    found: dict[Any, Any] = {(row.name, row.unit): int(row.balance) for row in rows if row.balance}
    differences = _unlike(found, reference.books)
    rows = await session.execute(text(_DAYS))
    days = {(row[0], *row[1:4]): [int(figure) for figure in row[4:]] for row in rows}
    differences += _unlike(days, {key: figures for key, figures in reference.days.items() if any(figures)})
    accrued = {row.account_id: int(row.amount) for row in await session.execute(text(_ACCRUED))}
    receivable = {party: -reference.books[f"receivable:{party}", "credit"] for party in reference.parties}
    differences += _unlike(accrued, receivable)
    overage = await session.execute(text("SELECT id, period_overage_nano FROM account"))
    differences += _unlike(
        {row.id: int(row.period_overage_nano) for row in overage},
        {account: party.overage for account, party in reference.parties.items()},
    )
    books: Books = await check_books(session)
    return differences + list(books.differences)


def _unlike(found: dict[Any, Any], wanted: dict[Any, Any]) -> list[str]:
    return [
        f"{key} holds {found.get(key, 0)}, in the reference {wanted.get(key, 0)}"
        for key in sorted(found.keys() | wanted.keys(), key=str)
        if (found.get(key) or 0) != (wanted.get(key) or 0)
    ]


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.isoformat() if hasattr(value, "isoformat") else value for value in row)

"""Whether the books agree with themselves; each query names what does not."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from ledger.domain.conservation import Books

SHOWN: Final = 100

UNITS: Final = """
SELECT unit, sum(amount) AS total FROM (
    SELECT unit, amount FROM transfer UNION ALL SELECT unit, -amount FROM transfer
) AS sides GROUP BY unit
"""

# Every stored balance is the sum of the transfers into and out of its ledger account.
LEDGER_ACCOUNTS: Final = """
WITH sides AS (
    SELECT target AS name, amount FROM transfer UNION ALL SELECT source, -amount FROM transfer
), balances AS (
    SELECT name, sum(amount) AS balance FROM sides GROUP BY name
)
"""
GRANTS: Final = (
    LEDGER_ACCOUNTS
    + """
SELECT format('grant %s has %s left, its transfers leave %s', g.id, g.remaining, coalesce(b.balance, 0))
FROM "grant" AS g LEFT JOIN balances AS b ON b.name = 'grant:' || g.id
WHERE g.remaining <> coalesce(b.balance, 0) LIMIT :shown
"""
)
DEBTS: Final = (
    LEDGER_ACCOUNTS
    + """
SELECT format('account %s owes %s, its transfers say %s', a.id, a.debt_nano, -coalesce(b.balance, 0))
FROM account AS a LEFT JOIN balances AS b ON b.name = 'debt:' || a.id
WHERE a.debt_nano <> -coalesce(b.balance, 0) LIMIT :shown
"""
)
CHARGES: Final = """
WITH moved AS (
    SELECT account_id, charge_id, sum(amount) FILTER (WHERE kind = 'deduction' AND unit = 'credit') AS price,
        sum(CASE kind WHEN 'cost' THEN amount WHEN 'cost_reversal' THEN -amount END) AS cost
    FROM transfer WHERE charge_id IS NOT NULL GROUP BY account_id, charge_id
)
SELECT format('charge %s is %s at a cost of %s, its transfers say %s and %s', coalesce(c.id, m.charge_id),
    c.price_nano, c.cost_nano, coalesce(m.price, 0), coalesce(m.cost, 0))
FROM charge AS c FULL JOIN moved AS m ON m.account_id = c.account_id AND m.charge_id = c.id
WHERE c.price_nano IS DISTINCT FROM coalesce(m.price, 0) OR c.cost_nano IS DISTINCT FROM coalesce(m.cost, 0)
LIMIT :shown
"""
SEQUENCES: Final = """
WITH counted AS (SELECT account_id, count(*) AS number, max(seq) AS newest FROM transfer GROUP BY account_id)
SELECT format('account %s stands at transfer %s, it has %s up to %s', coalesce(a.id, c.account_id), a.transfer_seq,
    coalesce(c.number, 0), coalesce(c.newest, 0))
FROM account AS a FULL JOIN counted AS c ON c.account_id = a.id
WHERE a.transfer_seq IS DISTINCT FROM coalesce(c.number, 0) OR a.transfer_seq IS DISTINCT FROM coalesce(c.newest, 0)
LIMIT :shown
"""
TWICE: Final = """
SELECT format('call %s stands under %s accounts', id, count(*)) FROM charge
GROUP BY id HAVING count(*) > 1 LIMIT :shown
"""
CHECKS: Final = (GRANTS, DEBTS, CHARGES, SEQUENCES, TWICE)


async def check_books(session: AsyncSession) -> Books:
    """Compare every stored balance with the transfers; run it in one consistent read."""
    sums = {row.unit: int(row.total) for row in await session.execute(text(UNITS))}
    accounts = int(await session.scalar(text("SELECT count(*) FROM account")) or 0)
    differences: list[str] = []
    for check in CHECKS:
        differences += (await session.scalars(text(check), {"shown": SHOWN})).all()
    return Books({"credit": 0, **sums}, accounts, differences)

"""Books as they look after years, made with COPY: accounts, grants, and the charges and transfers behind them."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

MOST: Final = 5 * 10**15

ACCOUNTS: Final = """
INSERT INTO account (id, state, version, activated_at, armed_base, arming, created_at)
SELECT id, 'open', 1, now(), 5000000000000000, 1, now() FROM unnest($1::uuid[]) AS id
"""
GRANTS: Final = """
INSERT INTO "grant" (id, account_id, source, unit, amount, remaining, priority, starts_at, expires_at, rule, period,
    created_at)
SELECT gen_random_uuid(), id, 'trial', 'credit', 5000000000000000, 5000000000000000, 50, now() - interval '1 day',
    now() + interval '1 year', 'bench', 'once', now() FROM unnest($1::uuid[]) AS id
"""
# Calls of the past month, spread over the accounts; ids are UUIDv7 of their time, so that they fall into partitions.
CHARGES: Final = """
INSERT INTO charge (id, account_id, digest, outcome, price_nano, cost_nano, unit, price_book_version, markup_bps, model,
    admitted_at, booked_at)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3) || 'a'
        || substr(md5(n::text), 4, 15))::uuid,
    ids[1 + n % array_length(ids, 1)], sha256(n::text::bytea), 'completed', 3450000, 3000000, 'credit', 1, 1500,
    'claude-sonnet-4-5', at, at
FROM (SELECT n, now() - make_interval(secs => n % 2500000) AS at, $1::uuid[] AS ids
    FROM generate_series($2::bigint, $3::bigint) AS n) AS made
"""
CHUNK: Final = 200_000


async def make_accounts(connection: asyncpg.Connection, ids: Sequence[UUID]) -> None:
    for start in range(0, len(ids), CHUNK):
        some = list(ids[start : start + CHUNK])
        await connection.execute(ACCOUNTS, some)
        await connection.execute(GRANTS, some)
    await connection.execute("ANALYZE account")
    await connection.execute('ANALYZE "grant"')


async def make_charges(connection: asyncpg.Connection, ids: Sequence[UUID], *, count: int) -> None:
    """Charges of other calls, so that indexes are as deep as they will be."""
    spread = list(ids[:CHUNK])
    for start in range(0, count, CHUNK):
        await connection.execute(CHARGES, spread, start, min(count, start + CHUNK) - 1, timeout=600)
    await connection.execute("ANALYZE charge", timeout=600)


async def forget(connection: asyncpg.Connection, ids: Sequence[UUID]) -> None:
    """Take out what was made without transfers, so that the books can be verified."""
    async with connection.transaction():
        for table in ("charge", "transfer"):
            await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for table in ("charge", "usage_detail", "usage_day", "transfer", '"grant"'):
            await connection.execute(
                f"DELETE FROM {table} WHERE account_id = ANY($1::uuid[])",  # noqa: S608  # our own table names
                list(ids),
                timeout=900,
            )
        await connection.execute("DELETE FROM account WHERE id = ANY($1::uuid[])", list(ids), timeout=900)
        for table in ("charge", "transfer"):
            await connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")

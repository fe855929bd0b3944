"""Books as they look after years, made by PostgreSQL itself: accounts that verify, and calls behind them that do not.

Accounts get what a trial gives, with the transfer and the hash that chains it, so that the books stay sound. Calls are
there to be in the way, or to be read: what they would have moved is left out.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

CHUNK: Final = 100_000
CHUNK_TIMEOUT_S: Final = 600.0

ACCOUNTS: Final = """
WITH made AS MATERIALIZED (
    SELECT id, gen_random_uuid() AS grant_id, date_trunc('second', now()) AS at, 5000000000000000 AS amount
    FROM unnest($1::uuid[]) AS id
), linked AS MATERIALIZED (
    SELECT made.*, sha256('\\x01'::bytea || decode(repeat('00', 32), 'hex') || convert_to(format(
        '["%s",1,"trial","grant:%s","credit",%s,"topup",null,"%s",null,%s,"%s","%s"]', id, grant_id, amount, grant_id,
        amount, said, said), 'UTF8')) AS hash
    FROM made, LATERAL (SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"') AS said) AS one
), accounts AS (
    INSERT INTO account (id, state, version, activated_at, armed_base, arming, transfer_seq, head, created_at, due_at)
    SELECT id, 'open', 1, at, amount, 1, 1, hash, at, at + interval '1 year' FROM linked
), grants AS (
    INSERT INTO "grant" (id, account_id, source, unit, amount, remaining, priority, starts_at, expires_at, rule, period,
        created_at)
    SELECT grant_id, id, 'trial', 'credit', amount, amount, 50, at, at + interval '1 year', 'bench', 'once', at
    FROM linked
)
INSERT INTO transfer (account_id, seq, source, target, unit, amount, kind, grant_id, balance_after, booked_at,
    effective_at, hash)
SELECT id, 1, 'trial', 'grant:' || grant_id, 'credit', amount, 'topup', grant_id, amount, at, at, hash FROM linked
"""
# Calls of the past month, spread over the accounts; ids are UUIDv7 of their time, so that they fall into partitions.
_MADE: Final = """
FROM (
    SELECT n, at, $1::uuid[] AS ids, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
        || substr(md5(n::text), 1, 3) || 'a' || substr(md5(n::text), 4, 15))::uuid AS id
    FROM (SELECT n, $4::timestamptz - make_interval(secs => n % 2500000) AS at
        FROM generate_series($2::bigint, $3::bigint) AS n) AS placed
) AS made
"""
_OWNER: Final = "ids[1 + n % array_length(ids, 1)]"
CHARGES: Final = f"""
INSERT INTO charge (id, account_id, digest, outcome, price_nano, cost_nano, unit, price_book_version, markup_bps, model,
    admitted_at, booked_at)
SELECT id, {_OWNER}, sha256(n::text::bytea), 'completed', 3450000, 3000000, 'credit', 1, 1500, 'claude-sonnet-4-5', at,
    at {_MADE}
"""
DETAILS: Final = f"""
INSERT INTO usage_detail (id, account_id, gateway_instance, surface, streamed, model_asked, model_served, route,
    outcome, basis, http_status, input_tokens, cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens,
    output_tokens, web_search_requests, web_fetch_requests, code_execution_requests, admitted_at, ended_at, attempts,
    first_seq, last_seq)
SELECT id, {_OWNER}, 'bench', '/v1/messages', true, 'claude-sonnet-4-5', 'claude-sonnet-4-5', 'anthropic', 'completed',
    'provider', 200, 90, 0, 0, 20, 30, 0, 0, 0, at, at, 1, 2 + n, 2 + n {_MADE}
"""
TRANSFERS: Final = f"""
INSERT INTO transfer (account_id, seq, source, target, unit, amount, kind, charge_id, balance_after, booked_at,
    effective_at, hash)
SELECT {_OWNER}, 1000 + n, 'grant:bench', 'revenue:claude-sonnet-4-5', 'credit', 3450000, 'deduction', id, 0, at, at, ''
{_MADE}
"""
DAYS: Final = """
INSERT INTO usage_day
SELECT account_id, (admitted_at AT TIME ZONE 'UTC')::date, '', model, nil, nil, nil, count(*), 0, 90 * count(*), 0, 0,
    20 * count(*), 30 * count(*), sum(price_nano), sum(price_nano), 0, 0, 0, sum(cost_nano), 0
FROM charge, (SELECT '00000000-0000-0000-0000-000000000000'::uuid AS nil) AS nobody
WHERE account_id = $1 GROUP BY account_id, 2, model, nil
"""
SEQUENCE: Final = "UPDATE account SET transfer_seq = 1000 + $2 WHERE id = $1"


async def make_accounts(connection: asyncpg.Connection, ids: Sequence[UUID]) -> None:
    for start in range(0, len(ids), CHUNK):
        await connection.execute(ACCOUNTS, list(ids[start : start + CHUNK]), timeout=CHUNK_TIMEOUT_S)
    for table in ("account", '"grant"', "transfer"):
        # Else the server does so by itself within the minute, in the middle of what is measured.
        await connection.execute(f"VACUUM (ANALYZE) {table}", timeout=CHUNK_TIMEOUT_S)


async def make_charges(connection: asyncpg.Connection, ids: Sequence[UUID], *, count: int) -> None:
    """Charges of other calls, so that indexes are as deep as they will be."""
    await _make(connection, CHARGES, ids, count=count)
    await connection.execute("ANALYZE charge", timeout=CHUNK_TIMEOUT_S)


async def make_calls(connection: asyncpg.Connection, account_id: UUID, *, count: int) -> None:
    """Calls of one account as its readers meet them: charges, details, transfers and daily sums."""
    for statement in (CHARGES, DETAILS, TRANSFERS):
        await _make(connection, statement, [account_id], count=count)
    await connection.execute(DAYS, account_id, timeout=CHUNK_TIMEOUT_S)
    await connection.execute(SEQUENCE, account_id, count)
    for table in ("charge", "usage_detail", "transfer", "usage_day"):
        await connection.execute(f"ANALYZE {table}", timeout=CHUNK_TIMEOUT_S)


async def _make(connection: asyncpg.Connection, statement: str, ids: Sequence[UUID], *, count: int) -> None:
    now = await connection.fetchval("SELECT now()")
    # In order, so that the rows of a chunk go into an index from its one end to the other.
    owners = sorted(ids[:CHUNK])
    for start in range(0, count, CHUNK):
        end = min(count, start + CHUNK) - 1
        await connection.execute(statement, owners, start, end, now, timeout=CHUNK_TIMEOUT_S)

"""Users as an installation has them after years, made by PostgreSQL itself: nobody signs in as one of them."""

from typing import Final

import asyncpg

from sandbox.stack.roles import role_of

CHUNK: Final = 100_000
CHUNK_TIMEOUT_S: Final = 300.0

# Each with a password, an account of their own, a second one as a member, a project, sessions and keys that are over.
PEOPLE: Final = """
WITH made AS MATERIALIZED (
    SELECT gen_random_uuid() AS id, gen_random_uuid() AS account_id, gen_random_uuid() AS project_id,
        gen_random_uuid() AS session_id, gen_random_uuid() AS key_id, md5(random()::text || n) AS name,
        now() - interval '1 year' AS at
    FROM generate_series(1, $1::bigint) AS n
), users_made AS (
    INSERT INTO users (id, address, address_normal, state, operator, verified_at, version, created_at)
    SELECT id, name || '@example.org', name || '@example.org', 'active', false, at, 1, at FROM made
), credentials_made AS (
    INSERT INTO credentials (user_id, password_hash, changed_at) SELECT id, 'none', at FROM made
), accounts_made AS (
    INSERT INTO accounts (id, kind, state, budgets, activated_at, version, created_at)
    SELECT account_id, 'personal', 'open', '[]', at, 1, at FROM made
), members_made AS (
    INSERT INTO members (account_id, user_id, role, state, budgets, version)
    SELECT account_id, id, 'owner', 'active', '[]', 1 FROM made
), projects_made AS (
    INSERT INTO projects (id, account_id, name, is_default, state, budgets, version, created_at)
    SELECT project_id, account_id, 'Default', true, 'active', '[]', 1, at FROM made
), sessions_made AS (
    INSERT INTO sessions (id, user_id, account_id, device, network, created_at, last_seen_at, access_until, expires_at)
    SELECT session_id, id, account_id, 'bench', '192.0.2.1', now(), now(), now(), now() + interval '30 days' FROM made
), tokens_made AS (
    INSERT INTO refresh_tokens (token_hash, session_id, issued_at)
    SELECT sha256(session_id::text::bytea), session_id, now() FROM made
)
INSERT INTO api_keys (id, account_id, project_id, user_id, name, mode, key_sha256, prefix, last4, scopes, budgets,
    allowed_networks, state, version, created_at)
SELECT key_id, account_id, project_id, id, 'bench', 'test', encode(sha256(key_id::text::bytea), 'hex'), 'fg_test_',
    '0000', '{}', '[]', '{}', 'active', 1, at FROM made
"""


TABLES: Final = ("users", "credentials", "accounts", "members", "projects", "sessions", "refresh_tokens", "api_keys")

# References last: they need the keys that they lead to.
CONSTRAINTS: Final = """
SELECT 'ALTER TABLE ' || conrelid::regclass || ' DROP CONSTRAINT ' || quote_ident(conname) AS dropped,
    'ALTER TABLE ' || conrelid::regclass || ' ADD CONSTRAINT ' || quote_ident(conname) || ' '
        || pg_get_constraintdef(oid) || CASE contype WHEN 'f' THEN ' NOT VALID' ELSE '' END AS made
FROM pg_constraint
WHERE contype IN ('p', 'u', 'f') AND (conrelid = ANY($1::text[]::regclass[]) OR confrelid = ANY($1::text[]::regclass[]))
ORDER BY contype = 'f'
"""
INDEXES: Final = """
SELECT 'DROP INDEX ' || indexrelid::regclass AS dropped, pg_get_indexdef(indexrelid) AS made
FROM pg_index
WHERE indrelid = ANY($1::text[]::regclass[])
    AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u'))
"""


async def connect(admin_url: str) -> asyncpg.Connection:
    """To auth's database, where rows that were made to fit need no check of each reference, nor a sync of each part."""
    connection = await asyncpg.connect(admin_url, database=role_of("auth"))
    await connection.execute("SET session_replication_role = replica; SET synchronous_commit = off")
    await connection.execute("SET maintenance_work_mem = '256MB'; SET work_mem = '256MB'")
    return connection


async def make_people(connection: asyncpg.Connection, number: int) -> None:
    """While nobody asks for anything: an index that is built at the end costs less than one that grows row by row."""
    known = [row for query in (CONSTRAINTS, INDEXES) for row in await connection.fetch(query, list(TABLES))]
    for row in reversed(known):
        await connection.execute(row["dropped"])
    for start in range(0, number, CHUNK):
        await connection.execute(PEOPLE, min(CHUNK, number - start), timeout=CHUNK_TIMEOUT_S)
    for row in known:
        await connection.execute(row["made"], timeout=CHUNK_TIMEOUT_S)
    for table in TABLES:
        await connection.execute(f"VACUUM ANALYZE {table}", timeout=CHUNK_TIMEOUT_S)

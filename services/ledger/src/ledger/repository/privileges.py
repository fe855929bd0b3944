"""What the role may do that the service connects with: it books, and can neither change nor remove what is booked.

Migrations run as the owner of the tables. Where a role exists that is called like it with `_writer` behind, it is
given what the service needs, after each migration; whoever connects as that role is refused the rest by PostgreSQL.
"""

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

INSERT_ONLY = ("transfer", "charge", "charge_correction", "sealed_head", "audit_record", "adjustment", "account_hold")
DELETED_FROM = ("budget", "usage_detail", "outbox", "inbox", "parked", "idempotency")

# Partitions are reached through their tables; by their own names they are only read. What later migrations and months
# bring can be read at once, and is written once its migration has been here.
_GRANT = """
DO $$
DECLARE
    writer text := current_user || '_writer';
    found record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = writer) THEN
        RETURN;
    END IF;
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO %I', current_database(), writer);
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', writer);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO %I', writer);
    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO %I', writer);
    FOR found IN
        SELECT oid::regclass AS name, relname, relispartition OR relname = 'alembic_version' AS is_read_only
        FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %I', found.name, writer);
        EXECUTE format('GRANT SELECT ON %s TO %I', found.name, writer);
        CONTINUE WHEN found.is_read_only;
        EXECUTE format('GRANT INSERT ON %s TO %I', found.name, writer);
        IF found.relname <> ALL (string_to_array('{insert_only}', ',')) THEN
            EXECUTE format('GRANT UPDATE ON %s TO %I', found.name, writer);
        END IF;
        IF found.relname = ANY (string_to_array('{deleted_from}', ',')) THEN
            EXECUTE format('GRANT DELETE ON %s TO %I', found.name, writer);
        END IF;
    END LOOP;
END $$
""".replace("{insert_only}", ",".join(INSERT_ONLY)).replace("{deleted_from}", ",".join(DELETED_FROM))

_MAY_REWRITE = """
SELECT has_table_privilege('transfer', 'UPDATE') OR has_table_privilege('transfer', 'DELETE')
    OR has_table_privilege('charge', 'UPDATE') OR has_table_privilege('charge', 'DELETE')
"""


async def grant_writer(url: str) -> None:
    """Run as the owner; without a writer's role nothing happens."""
    _, _, rest = url.partition("://")
    connection = await asyncpg.connect(f"postgresql://{rest}")
    try:
        await connection.execute(_GRANT)
    finally:
        await connection.close()


async def may_rewrite(session: AsyncSession) -> bool:
    """Whether the connected role could change what is booked, but for the triggers."""
    return bool(await session.scalar(text(_MAY_REWRITE)))

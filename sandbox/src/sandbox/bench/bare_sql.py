"""What PostgreSQL alone allows: dedupe, balances, one entry per event and an outbox, in one statement per batch."""

import random
import time
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import asyncpg

BATCH: Final = 500

TABLES: Final = """
CREATE TABLE account (id bigint PRIMARY KEY, balance bigint NOT NULL, seq bigint NOT NULL DEFAULT 0)
  WITH (fillfactor = 70);
CREATE TABLE usage_event (id uuid PRIMARY KEY, account_id bigint NOT NULL, at timestamptz NOT NULL,
  model text NOT NULL, input_tokens int NOT NULL, output_tokens int NOT NULL, amount bigint NOT NULL);
CREATE TABLE entry (account_id bigint NOT NULL, seq bigint NOT NULL, event_id uuid NOT NULL, amount bigint NOT NULL,
  balance_after bigint NOT NULL, PRIMARY KEY (account_id, seq));
CREATE TABLE outbox (id bigserial PRIMARY KEY, topic text NOT NULL, key text NOT NULL, payload bytea NOT NULL);
"""

APPLY: Final = """
WITH event AS (
  SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::text[], $5::int[], $6::int[], $7::bigint[])
    WITH ORDINALITY AS e (id, account_id, at, model, input_tokens, output_tokens, amount, place)
), locked AS (
  SELECT id, balance, seq FROM account WHERE id IN (SELECT account_id FROM event) ORDER BY id FOR UPDATE
), inserted AS (
  INSERT INTO usage_event SELECT id, account_id, at, model, input_tokens, output_tokens, amount FROM event
  ON CONFLICT DO NOTHING RETURNING id
), fresh AS (
  SELECT event.*, row_number() OVER ordered AS number, sum(amount) OVER ordered AS running
  FROM event JOIN inserted USING (id) WINDOW ordered AS (PARTITION BY account_id ORDER BY place)
), entered AS (
  INSERT INTO entry
  SELECT fresh.account_id, locked.seq + fresh.number, fresh.id, -fresh.amount, locked.balance - fresh.running
  FROM fresh JOIN locked ON locked.id = fresh.account_id
), total AS (
  SELECT account_id, sum(amount) AS amount, count(*) AS number FROM fresh GROUP BY account_id
), updated AS (
  UPDATE account SET balance = balance - total.amount, seq = seq + total.number FROM total
  WHERE account.id = total.account_id RETURNING account.id, account.balance
)
INSERT INTO outbox (topic, key, payload)
SELECT 'balance', id::text, convert_to(json_build_object('id', id, 'balance', balance)::text, 'utf8') FROM updated
"""


async def events_per_s(url: str, *, accounts: int, events: int) -> float:
    """Apply events on one connection to an empty database."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(TABLES)
        await connection.execute("INSERT INTO account SELECT n, 10^15 FROM generate_series(1, $1) AS n", accounts)
        batches = [_batch(accounts) for _ in range(events // BATCH)]
        statement = await connection.prepare(APPLY)
        began = time.perf_counter()
        for batch in batches:
            async with connection.transaction():
                await statement.fetch(*batch)
        return len(batches) * BATCH / (time.perf_counter() - began)
    finally:
        await connection.close()


def _batch(accounts: int) -> list[list[Any]]:
    now = datetime.now(UTC)
    return [
        [uuid4() for _ in range(BATCH)],
        [random.randrange(accounts) + 1 for _ in range(BATCH)],  # noqa: S311  # load, not secrets
        [now] * BATCH,
        ["claude-sonnet-4-5"] * BATCH,
        [100] * BATCH,
        [200] * BATCH,
        [3_300_000] * BATCH,
    ]

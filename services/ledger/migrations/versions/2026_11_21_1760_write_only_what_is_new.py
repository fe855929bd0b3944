"""The service's own role only inserts what is booked; the few changes that the books know go through functions."""

# ruff: noqa: S608  # statements, made of our own texts

from alembic import op

revision = "2026_11_21_1760"
down_revision = "2026_11_21_1750"
branch_labels = None
depends_on = None

AS_OWNER = "SECURITY DEFINER SET search_path = public, pg_temp"
# The transaction that claimed a call may still say in what it was paid.
SETTLE = f"""
CREATE FUNCTION settle_charges(accounts uuid[], ids uuid[], prices bigint[], tokens bigint[], requests bigint[],
    overages bigint[], revenues bigint[]) RETURNS void LANGUAGE sql {AS_OWNER} AS $$
    UPDATE charge AS c SET price_nano = n.price, plan_tokens = n.tokens, plan_requests = n.requests,
        overage_nano = n.overage, recognised_nano = n.revenue
    FROM unnest(accounts, ids, prices, tokens, requests, overages, revenues)
        AS n(account_id, id, price, tokens, requests, overage, revenue)
    WHERE c.account_id = n.account_id AND c.id = n.id AND c.booked_xid = pg_current_xact_id()
$$
"""
# The real end of a call takes the place of a report that nobody had heard of it (money.md 14).
REPLACE = f"""
CREATE FUNCTION replace_orphans(accounts uuid[], ids uuid[], digests bytea[], outcomes text[], prices bigint[],
    costs bigint[], books integer[], plans text[], plan_versions integer[], markups integer[], models text[],
    admissions timestamptz[], now timestamptz) RETURNS void LANGUAGE sql {AS_OWNER} AS $$
    UPDATE charge AS c SET digest = n.digest, outcome = n.outcome, price_nano = n.price, cost_nano = n.cost,
        price_book_version = n.book, plan_id = n.plan, plan_version = n.plan_version, markup_bps = n.markup,
        model = n.model, admitted_at = n.admitted_at, booked_at = now, booked_xid = pg_current_xact_id()
    FROM unnest(accounts, ids, digests, outcomes, prices, costs, books, plans, plan_versions, markups, models,
        admissions) AS n(account_id, id, digest, outcome, price, cost, book, plan, plan_version, markup, model,
        admitted_at)
    WHERE c.account_id = n.account_id AND c.id = n.id AND c.outcome = 'orphaned'
$$
"""
# Transfers from before the chain get their hash.
LINK = f"""
CREATE FUNCTION link_transfers(account uuid, seqs bigint[], hashes bytea[]) RETURNS void LANGUAGE sql {AS_OWNER} AS $$
    UPDATE transfer AS t SET hash = n.hash FROM unnest(seqs, hashes) AS n(seq, hash)
    WHERE t.account_id = account AND t.seq = n.seq AND t.hash IS NULL
$$
"""
PARTITIONS = "ensure_month_partitions(date, integer)"
# What was rated again before the days' sums followed corrections; finds nothing to do a second time.
DAYS = """
INSERT INTO usage_day (account_id, day, plan_id, model, project_id, api_key_id, user_id, calls, failed, input_tokens,
    cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens, output_tokens, price_nano, value_nano, plan_tokens,
    plan_requests, overage_nano, cost_nano, recognised_nano)
SELECT account_id, day, plan_id, model, nil, nil, nil, 0, 0, 0, 0, 0, 0, 0, b.price - u.price, 0, 0, 0, 0,
    b.cost - u.cost, 0
FROM (SELECT '00000000-0000-0000-0000-000000000000'::uuid AS nil) AS nobody,
LATERAL (
    SELECT c.account_id, (c.admitted_at AT TIME ZONE 'UTC')::date AS day, coalesce(c.plan_id, '') AS plan_id, c.model,
        sum(coalesce(k.price_nano, c.price_nano)) AS price, sum(coalesce(k.cost_nano, c.cost_nano)) AS cost
    FROM charge AS c LEFT JOIN LATERAL (
        SELECT price_nano, cost_nano FROM charge_correction
        WHERE account_id = c.account_id AND call_id = c.id ORDER BY n DESC LIMIT 1
    ) AS k ON true
    WHERE c.account_id IN (SELECT account_id FROM charge_correction) GROUP BY 1, 2, 3, 4
) AS b JOIN LATERAL (
    SELECT coalesce(sum(d.price_nano), 0) AS price, coalesce(sum(d.cost_nano), 0) AS cost FROM usage_day AS d
    WHERE d.account_id = b.account_id AND d.day = b.day AND d.plan_id = b.plan_id AND d.model = b.model
) AS u ON (b.price, b.cost) <> (u.price, u.cost)
ON CONFLICT (account_id, day, plan_id, model, project_id, api_key_id, user_id) DO UPDATE
SET price_nano = usage_day.price_nano + excluded.price_nano, cost_nano = usage_day.cost_nano + excluded.cost_nano
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for statement in (SETTLE, REPLACE, LINK, f"ALTER FUNCTION {PARTITIONS} {AS_OWNER}", DAYS):
        op.execute(statement)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(f"ALTER FUNCTION {PARTITIONS} SECURITY INVOKER RESET search_path")
    for name in ("link_transfers", "replace_orphans", "settle_charges"):
        op.execute(f"DROP FUNCTION {name}")

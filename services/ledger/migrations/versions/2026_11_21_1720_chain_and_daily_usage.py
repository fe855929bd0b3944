"""Usage by day, sealed heads of the chains, and what may never change in charges and transfers.

Transfers that stand already get their hashes when their account is next booked to, or by `python -m ledger chain`.
"""

from alembic import op

revision = "2026_11_21_1720"
down_revision = "2026_11_21_1710"
branch_labels = None
depends_on = None

NOBODY = "'00000000-0000-0000-0000-000000000000'"
USAGE_DAY = f"""
CREATE TABLE usage_day (
    account_id uuid NOT NULL,
    day date NOT NULL,
    plan_id text NOT NULL DEFAULT '',
    model text NOT NULL,
    project_id uuid NOT NULL DEFAULT {NOBODY},
    api_key_id uuid NOT NULL DEFAULT {NOBODY},
    user_id uuid NOT NULL DEFAULT {NOBODY},
    calls bigint NOT NULL,
    failed bigint NOT NULL,
    input_tokens bigint NOT NULL,
    cache_write_5m_tokens bigint NOT NULL,
    cache_write_1h_tokens bigint NOT NULL,
    cache_read_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    price_nano bigint NOT NULL,
    value_nano bigint NOT NULL,
    plan_tokens bigint NOT NULL,
    plan_requests bigint NOT NULL,
    overage_nano bigint NOT NULL,
    cost_nano bigint NOT NULL,
    recognised_nano bigint NOT NULL,
    CONSTRAINT pk_usage_day PRIMARY KEY (account_id, day, plan_id, model, project_id, api_key_id, user_id)
) WITH (fillfactor = 70)
"""
# What was booked before days were counted; held in whole by the charges and, as long as it is kept, the detail.
USAGE_SO_FAR = f"""
INSERT INTO usage_day
SELECT c.account_id, (c.admitted_at AT TIME ZONE 'UTC')::date, coalesce(c.plan_id, ''), c.model,
    coalesce(d.project_id, {NOBODY}), coalesce(d.api_key_id, {NOBODY}), coalesce(d.user_id, {NOBODY}),
    count(*), count(*) FILTER (WHERE c.outcome NOT IN ('completed', 'client_gone')),
    coalesce(sum(d.input_tokens), 0), coalesce(sum(d.cache_write_5m_tokens), 0),
    coalesce(sum(d.cache_write_1h_tokens), 0), coalesce(sum(d.cache_read_tokens), 0),
    coalesce(sum(d.output_tokens), 0), sum(c.price_nano), sum(c.price_nano), sum(c.plan_tokens), sum(c.plan_requests),
    sum(c.overage_nano), sum(c.cost_nano), sum(c.recognised_nano)
FROM charge AS c LEFT JOIN usage_detail AS d USING (account_id, id) GROUP BY 1, 2, 3, 4, 5, 6, 7
"""  # noqa: S608  # a constant of ours
SEALED = """
CREATE TABLE sealed_head (
    account_id uuid NOT NULL,
    day date NOT NULL,
    sequence bigint NOT NULL,
    hash bytea NOT NULL,
    balance_nano bigint NOT NULL,
    sealed_at timestamptz NOT NULL,
    CONSTRAINT pk_sealed_head PRIMARY KEY (account_id, day)
)
"""
SEALED_DAY = """
CREATE TABLE sealed_day (
    day date CONSTRAINT pk_sealed_day PRIMARY KEY,
    next_account uuid,
    is_done boolean NOT NULL
)
"""
SEALED_INSERT_ONLY = """
CREATE TRIGGER sealed_head_is_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON sealed_head
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""

# The transaction that claims a call may still say in what it was paid; nobody may later.
CHARGE_XID = "ALTER TABLE charge ADD COLUMN booked_xid xid8"
CHARGE_XID_DEFAULT = "ALTER TABLE charge ALTER COLUMN booked_xid SET DEFAULT pg_current_xact_id()"
CHARGE_STANDS = """
CREATE TRIGGER charge_stands BEFORE DELETE OR TRUNCATE ON charge FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""
CHARGE_IS_FINAL = """
CREATE TRIGGER charge_is_final BEFORE UPDATE ON charge FOR EACH ROW
    WHEN (OLD.outcome <> 'orphaned' AND OLD.booked_xid IS DISTINCT FROM pg_current_xact_id())
    EXECUTE FUNCTION refuse_change()
"""
# The one change that a transfer knows: those from before the chain get their hash.
TRANSFER_STANDS = """
CREATE TRIGGER transfer_stands BEFORE DELETE OR TRUNCATE ON transfer FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""
TRANSFER_IS_FINAL = """
CREATE TRIGGER transfer_is_final BEFORE UPDATE ON transfer FOR EACH ROW
    WHEN (OLD.hash IS NOT NULL OR NEW.hash IS NULL
        OR (OLD.account_id, OLD.seq, OLD.source, OLD.target, OLD.unit, OLD.amount, OLD.kind, OLD.charge_id,
            OLD.grant_id, OLD.reference, OLD.balance_after, OLD.booked_at, OLD.effective_at)
        IS DISTINCT FROM
           (NEW.account_id, NEW.seq, NEW.source, NEW.target, NEW.unit, NEW.amount, NEW.kind, NEW.charge_id,
            NEW.grant_id, NEW.reference, NEW.balance_after, NEW.booked_at, NEW.effective_at))
    EXECUTE FUNCTION refuse_change()
"""
INSERT_ONLY = """
CREATE TRIGGER transfer_is_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transfer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for statement in (
        USAGE_DAY,
        USAGE_SO_FAR,
        SEALED,
        SEALED_DAY,
        SEALED_INSERT_ONLY,
        CHARGE_XID,
        CHARGE_XID_DEFAULT,
        CHARGE_STANDS,
        CHARGE_IS_FINAL,
        "DROP TRIGGER transfer_is_insert_only ON transfer",
        TRANSFER_STANDS,
        TRANSFER_IS_FINAL,
    ):
        op.execute(statement)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP TRIGGER transfer_is_final ON transfer")
    op.execute("DROP TRIGGER transfer_stands ON transfer")
    op.execute(INSERT_ONLY)
    op.execute("DROP TRIGGER charge_is_final ON charge")
    op.execute("DROP TRIGGER charge_stands ON charge")
    op.execute("ALTER TABLE charge DROP COLUMN booked_xid")
    op.execute("DROP TABLE sealed_day")
    op.execute("DROP TABLE sealed_head")
    op.execute("DROP TABLE usage_day")

"""Promo codes, the audit log, marks that bound how far back a reader adds up, and the indexes of the reading routes."""

from alembic import op

revision = "2026_11_21_1730"
down_revision = "2026_11_21_1720"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE promo_code (
    id uuid CONSTRAINT pk_promo_code PRIMARY KEY,
    code text NOT NULL CONSTRAINT uq_promo_code_code UNIQUE,
    unit text NOT NULL CONSTRAINT ck_promo_code_unit CHECK (unit IN ('credit', 'token', 'request')),
    amount bigint NOT NULL CONSTRAINT ck_promo_code_amount CHECK (amount > 0),
    valid_days integer CONSTRAINT ck_promo_code_valid_days CHECK (valid_days > 0),
    most integer CONSTRAINT ck_promo_code_most CHECK (most > 0),
    redeemed integer NOT NULL DEFAULT 0,
    expires_at timestamptz,
    reason text NOT NULL,
    actor_user_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT ck_promo_code_redeemed CHECK (redeemed >= 0 AND (most IS NULL OR redeemed <= most))
);
CREATE TABLE promo_redemption (
    promo_id uuid NOT NULL CONSTRAINT fk_promo_redemption_promo_id_promo_code REFERENCES promo_code (id),
    account_id uuid NOT NULL,
    grant_id uuid NOT NULL,
    user_id uuid NOT NULL,
    redeemed_at timestamptz NOT NULL,
    CONSTRAINT pk_promo_redemption PRIMARY KEY (promo_id, account_id)
);
CREATE TABLE audit_record (
    id uuid CONSTRAINT pk_audit_record PRIMARY KEY,
    account_id uuid,
    actor_user_id uuid NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    reason text,
    before jsonb,
    after jsonb,
    recorded_at timestamptz NOT NULL
);
CREATE INDEX ix_audit_record_account_id_id ON audit_record (account_id, id);
CREATE TABLE balance_mark (
    account_id uuid NOT NULL,
    seq bigint NOT NULL,
    booked_at timestamptz NOT NULL,
    sums jsonb NOT NULL,
    CONSTRAINT pk_balance_mark PRIMARY KEY (account_id, seq)
);
CREATE TABLE margin_watch (
    day date CONSTRAINT pk_margin_watch PRIMARY KEY,
    checked_at timestamptz NOT NULL
);
CREATE INDEX ix_payment_settled_at ON payment (settled_at);
CREATE TRIGGER audit_record_is_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_record
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""

# Few transfers are in these, so that booking calls does not pay for them.
INDEXES = {
    "ix_transfer_rare": ("transfer (account_id, kind, seq) WHERE kind NOT IN ('deduction', 'cost', 'cost_reversal')"),
    "ix_transfer_ahead": "transfer (account_id, effective_at) WHERE effective_at > booked_at",
    "ix_usage_day_day": "usage_day (day)",
    "ix_transfer_breakage": "transfer (booked_at) WHERE kind IN ('expiry', 'expiry_reversal')",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, on in INDEXES.items():
            # One that was broken off stays behind, invalid.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {on}")
    op.execute("SET LOCAL lock_timeout = '5s'")
    for statement in TABLES.split(";"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in ("margin_watch", "balance_mark", "audit_record", "promo_redemption", "promo_code"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP INDEX ix_payment_settled_at")
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")

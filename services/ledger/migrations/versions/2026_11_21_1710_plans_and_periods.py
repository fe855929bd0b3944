"""Plans in all units: periods, what became of grants, overage, budgets, customers' own levels."""

from alembic import op

revision = "2026_11_21_1710"
down_revision = "2026_11_21_1600"
branch_labels = None
depends_on = None

# Constants as defaults: no row is written anew.
ACCOUNT = """
ALTER TABLE account
    ADD COLUMN armed_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN armed_requests bigint NOT NULL DEFAULT 0,
    ADD COLUMN levels text,
    ADD COLUMN markup_bps integer CONSTRAINT ck_account_markup CHECK (markup_bps >= 0),
    ADD COLUMN settings_version bigint NOT NULL DEFAULT 0,
    ADD COLUMN overage_ceiling_nano bigint CONSTRAINT ck_account_overage_ceiling CHECK (overage_ceiling_nano >= 0),
    ADD COLUMN has_payment_method boolean NOT NULL DEFAULT false,
    ADD COLUMN period_start timestamptz,
    ADD COLUMN period_end timestamptz,
    ADD COLUMN period_calls bigint NOT NULL DEFAULT 0,
    ADD COLUMN period_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN period_value_nano bigint NOT NULL DEFAULT 0,
    ADD COLUMN period_overage_nano bigint NOT NULL DEFAULT 0,
    ADD COLUMN overage_carry bigint NOT NULL DEFAULT 0,
    ADD COLUMN due_at timestamptz,
    ADD CONSTRAINT ck_account_period CHECK (period_end > period_start)
"""
# Changes to `due_at` alone leave the page: it seldom changes, and its index finds what time has to do.
DUE = "CREATE INDEX ix_account_due_at ON account (due_at) WHERE due_at IS NOT NULL"
GRANT = """
ALTER TABLE "grant"
    ADD COLUMN burnt bigint NOT NULL DEFAULT 0 CONSTRAINT ck_grant_burnt CHECK (burnt >= 0),
    ADD COLUMN expired bigint NOT NULL DEFAULT 0 CONSTRAINT ck_grant_expired CHECK (expired >= 0),
    ADD COLUMN rolled bigint NOT NULL DEFAULT 0 CONSTRAINT ck_grant_rolled CHECK (rolled >= 0),
    ADD COLUMN is_withdrawn boolean NOT NULL DEFAULT false
"""
# A grant that was taken back before it started does not stand in the way of another one for the same period.
UNIQUE = """
CREATE UNIQUE INDEX uq_grant_account_id_rule_period ON "grant" (account_id, rule, period) WHERE NOT is_withdrawn
"""
GRANT_ACCOUNT = 'CREATE INDEX ix_grant_account_id ON "grant" (account_id)'
CHARGE = """
ALTER TABLE charge
    ADD COLUMN plan_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN plan_requests bigint NOT NULL DEFAULT 0,
    ADD COLUMN overage_nano bigint NOT NULL DEFAULT 0,
    ADD COLUMN recognised_nano bigint NOT NULL DEFAULT 0
"""
OVERAGE = """
CREATE TABLE overage_accrual (
    account_id uuid NOT NULL,
    plan_id text NOT NULL,
    plan_version integer NOT NULL,
    hour timestamptz NOT NULL,
    sequence integer NOT NULL,
    collect text NOT NULL,
    nano_per_1k_tokens bigint,
    amount_nano bigint NOT NULL CONSTRAINT ck_overage_accrual_amount CHECK (amount_nano > 0),
    is_late boolean NOT NULL,
    announced_at timestamptz,
    CONSTRAINT pk_overage_accrual PRIMARY KEY (account_id, plan_id, plan_version, hour, sequence)
)
"""
OVERAGE_OPEN = "CREATE INDEX ix_overage_accrual_open ON overage_accrual (hour, account_id) WHERE announced_at IS NULL"
BUDGET = """
CREATE TABLE budget (
    account_id uuid NOT NULL,
    scope text NOT NULL CONSTRAINT ck_budget_scope CHECK (scope IN ('account', 'member', 'project', 'api_key')),
    scope_id uuid NOT NULL,
    "window" text NOT NULL CONSTRAINT ck_budget_window CHECK ("window" IN ('day', 'month', 'total')),
    limit_nano bigint NOT NULL,
    spent_nano bigint NOT NULL,
    window_start timestamptz,
    CONSTRAINT pk_budget PRIMARY KEY (account_id, scope, scope_id, "window")
) WITH (fillfactor = 70)
"""
BUDGET_OWNER = """
CREATE TABLE budget_owner (
    account_id uuid NOT NULL,
    scope text NOT NULL,
    scope_id uuid NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT pk_budget_owner PRIMARY KEY (account_id, scope, scope_id)
)
"""
REANNOUNCEMENT = """
CREATE TABLE reannouncement (
    price_book_version integer CONSTRAINT pk_reannouncement PRIMARY KEY,
    after_account_id uuid,
    finished_at timestamptz
)
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(ACCOUNT)
    op.execute(DUE)
    op.execute(
        'UPDATE account AS a SET due_at = g.due FROM (SELECT account_id, min(expires_at) AS due FROM "grant"'
        " WHERE remaining > 0 GROUP BY account_id) AS g WHERE g.account_id = a.id"
    )
    op.execute(GRANT)
    op.execute('ALTER TABLE "grant" DROP CONSTRAINT uq_grant_account_id_rule_period')
    op.execute(UNIQUE)
    op.execute(GRANT_ACCOUNT)
    op.execute(CHARGE)
    for statement in (OVERAGE, OVERAGE_OPEN, BUDGET, BUDGET_OWNER, REANNOUNCEMENT):
        op.execute(statement)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in ("reannouncement", "budget_owner", "budget", "overage_accrual"):
        op.execute(f"DROP TABLE {table}")
    for table, columns in (
        ("charge", ("recognised_nano", "overage_nano", "plan_requests", "plan_tokens")),
        ('"grant"', ("is_withdrawn", "rolled", "expired", "burnt")),
        (
            "account",
            (
                "due_at",
                "overage_carry",
                "period_overage_nano",
                "period_value_nano",
                "period_tokens",
                "period_calls",
                "period_end",
                "period_start",
                "has_payment_method",
                "overage_ceiling_nano",
                "settings_version",
                "markup_bps",
                "levels",
                "armed_requests",
                "armed_tokens",
            ),
        ),
    ):
        if table == '"grant"':
            op.execute("DROP INDEX uq_grant_account_id_rule_period")
            op.execute("DROP INDEX ix_grant_account_id")
            # A period that was taken back and given again has two rows.
            op.execute("UPDATE \"grant\" SET period = period || ' withdrawn ' || id WHERE is_withdrawn")
            op.execute(
                'ALTER TABLE "grant" ADD CONSTRAINT uq_grant_account_id_rule_period UNIQUE (account_id, rule, period)'
            )
        op.execute(f"ALTER TABLE {table} " + ", ".join(f"DROP COLUMN {column}" for column in columns))

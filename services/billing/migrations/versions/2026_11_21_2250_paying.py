"""Paid paths, account settings, off-session payments, use that is paid afterwards, mirrors of invoices."""

from alembic import op

revision = "2026_11_21_2250"
down_revision = "0001"
branch_labels = None
depends_on = None

OFFER = """
ALTER TABLE offer DROP CONSTRAINT ck_offer_kind_known,
    ADD CONSTRAINT ck_offer_kind_known CHECK (kind IN ('plan', 'bundle', 'top_up'))
"""
# An empty currency is the version's own: prices from before need no change.
PRICE = """
ALTER TABLE stripe_price ADD COLUMN currency text NOT NULL DEFAULT '';
DROP INDEX ix_stripe_price_offer_id_version;
CREATE UNIQUE INDEX ix_stripe_price_offer_id_version_currency ON stripe_price (offer_id, version, currency)
"""
CHECKOUT = """
ALTER TABLE checkout
    ALTER COLUMN offer_id DROP NOT NULL,
    ALTER COLUMN version DROP NOT NULL,
    ADD COLUMN currency text NOT NULL DEFAULT 'usd',
    ADD COLUMN quantity integer NOT NULL DEFAULT 1 CONSTRAINT ck_checkout_quantity CHECK (quantity > 0),
    ADD COLUMN amount_minor bigint CONSTRAINT ck_checkout_amount CHECK (amount_minor > 0),
    ADD CONSTRAINT ck_checkout_mode CHECK (mode IN ('payment', 'subscription', 'setup')),
    ADD CONSTRAINT ck_checkout_offer CHECK ((offer_id IS NULL) = (mode = 'setup'))
"""
SUBSCRIPTION = """
ALTER TABLE subscription
    ADD COLUMN currency text NOT NULL DEFAULT 'usd',
    ADD COLUMN quantity integer NOT NULL DEFAULT 1 CONSTRAINT ck_subscription_quantity CHECK (quantity > 0),
    ADD COLUMN pending_plan_id text,
    ADD COLUMN pending_plan_version integer,
    ADD COLUMN pending_quantity integer,
    ADD COLUMN trial_end timestamptz,
    ADD COLUMN past_due_since timestamptz,
    ADD COLUMN told_status text,
    ADD COLUMN grace_until timestamptz,
    ADD COLUMN is_local boolean NOT NULL DEFAULT false,
    ADD COLUMN anchor_at timestamptz
"""
NAMED = """
CREATE TABLE stripe_object (
    name text PRIMARY KEY,
    id text NOT NULL
)
"""
SETTINGS = """
CREATE TABLE account_settings (
    account_id uuid PRIMARY KEY,
    version bigint NOT NULL DEFAULT 0,
    payment_method_id text,
    overage_ceiling_nano bigint CONSTRAINT ck_account_settings_ceiling CHECK (overage_ceiling_nano >= 0),
    top_up_below_nano bigint,
    top_up_amount_minor bigint,
    top_up_day_minor bigint,
    top_up_month_minor bigint,
    top_up_paused text,
    top_up_look_at timestamptz,
    top_up_low_since timestamptz,
    use_blocked text,
    use_look_at timestamptz,
    told text,
    due_at timestamptz,
    CONSTRAINT ck_account_settings_top_up CHECK (
        num_nonnulls(top_up_below_nano, top_up_amount_minor, top_up_day_minor, top_up_month_minor) IN (0, 4)
        AND top_up_below_nano >= 0 AND top_up_amount_minor > 0 AND top_up_day_minor > 0 AND top_up_month_minor > 0
    )
);
CREATE INDEX ix_account_settings_due_at ON account_settings (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX ix_account_settings_top_up ON account_settings (top_up_look_at) WHERE top_up_below_nano IS NOT NULL;
CREATE INDEX ix_account_settings_use_look_at ON account_settings (use_look_at) WHERE use_look_at IS NOT NULL
"""
PATHS = """
CREATE TABLE path_flag (
    path text NOT NULL,
    scope text NOT NULL,
    is_open boolean NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (path, scope)
);
CREATE TABLE audit_record (
    id uuid PRIMARY KEY,
    actor text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    reason text NOT NULL,
    before jsonb,
    after jsonb,
    recorded_at timestamptz NOT NULL
)
"""
# One attempt of a purpose is open per account: whoever would begin a second one finds the first.
ATTEMPTS = """
CREATE TABLE charge_attempt (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    purpose text NOT NULL CONSTRAINT ck_charge_attempt_purpose CHECK (purpose IN ('auto_top_up', 'pay_per_use')),
    offer_id text NOT NULL,
    version integer NOT NULL,
    amount_minor bigint NOT NULL CONSTRAINT ck_charge_attempt_amount CHECK (amount_minor > 0),
    currency text NOT NULL,
    payment_method_id text NOT NULL,
    state text NOT NULL CONSTRAINT ck_charge_attempt_state
        CHECK (state IN ('open', 'succeeded', 'declined', 'needs_action', 'given_up')),
    payment_id text CONSTRAINT uq_charge_attempt_payment_id UNIQUE,
    failure text,
    tries integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE UNIQUE INDEX uq_charge_attempt_open ON charge_attempt (account_id, purpose) WHERE state = 'open';
CREATE INDEX ix_charge_attempt_due ON charge_attempt (next_try_at) WHERE state = 'open';
CREATE INDEX ix_charge_attempt_account_id ON charge_attempt (account_id, purpose, created_at)
"""
USE = """
CREATE TABLE owed_use (
    account_id uuid NOT NULL,
    plan_id text NOT NULL,
    plan_version integer NOT NULL,
    hour timestamptz NOT NULL,
    sequence integer NOT NULL,
    amount_nano bigint NOT NULL CONSTRAINT ck_owed_use_amount CHECK (amount_nano > 0),
    attempt_id uuid,
    PRIMARY KEY (account_id, plan_id, plan_version, hour, sequence)
);
CREATE INDEX ix_owed_use_open ON owed_use (account_id) WHERE attempt_id IS NULL;
CREATE INDEX ix_owed_use_attempt_id ON owed_use (attempt_id) WHERE attempt_id IS NOT NULL;
CREATE TABLE use_carry (
    account_id uuid PRIMARY KEY,
    carry_nano bigint NOT NULL CONSTRAINT ck_use_carry CHECK (carry_nano >= 0)
)
"""
INVOICES = """
CREATE TABLE invoice (
    id text PRIMARY KEY,
    account_id uuid NOT NULL,
    subscription_id text,
    number text,
    status text NOT NULL,
    currency text NOT NULL,
    total_minor bigint NOT NULL,
    tax_minor bigint NOT NULL,
    paid_minor bigint NOT NULL,
    payment_id text,
    pdf_url text,
    page_url text,
    lines jsonb NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX ix_invoice_account_id_created_at_id ON invoice (account_id, created_at, id);
CREATE TABLE credit_note (
    id text PRIMARY KEY,
    account_id uuid NOT NULL,
    invoice_id text NOT NULL,
    number text,
    status text NOT NULL,
    reason text,
    currency text NOT NULL,
    total_minor bigint NOT NULL,
    pdf_url text,
    created_at timestamptz NOT NULL
);
CREATE INDEX ix_credit_note_account_id_created_at_id ON credit_note (account_id, created_at, id)
"""
STEPS = (OFFER, PRICE, NAMED, CHECKOUT, SUBSCRIPTION, SETTINGS, PATHS, ATTEMPTS, USE, INVOICES)
BACK = """
DROP TABLE credit_note, invoice, use_carry, owed_use, charge_attempt, audit_record, path_flag, account_settings,
    stripe_object;
DELETE FROM subscription WHERE is_local;
ALTER TABLE subscription
    DROP COLUMN currency, DROP COLUMN quantity, DROP COLUMN pending_plan_id, DROP COLUMN pending_plan_version,
    DROP COLUMN pending_quantity, DROP COLUMN trial_end, DROP COLUMN past_due_since, DROP COLUMN told_status, DROP COLUMN grace_until,
    DROP COLUMN is_local, DROP COLUMN anchor_at;
DELETE FROM checkout WHERE offer_id IS NULL;
ALTER TABLE checkout
    DROP CONSTRAINT ck_checkout_offer, DROP CONSTRAINT ck_checkout_mode,
    DROP COLUMN currency, DROP COLUMN quantity, DROP COLUMN amount_minor,
    ALTER COLUMN offer_id SET NOT NULL, ALTER COLUMN version SET NOT NULL;
DROP INDEX ix_stripe_price_offer_id_version_currency;
DELETE FROM stripe_price WHERE currency <> '';
ALTER TABLE stripe_price DROP COLUMN currency;
CREATE UNIQUE INDEX ix_stripe_price_offer_id_version ON stripe_price (offer_id, version);
DELETE FROM offer WHERE kind = 'top_up';
DELETE FROM offer_version WHERE kind = 'top_up';
ALTER TABLE offer DROP CONSTRAINT ck_offer_kind_known,
    ADD CONSTRAINT ck_offer_kind_known CHECK (kind IN ('plan', 'bundle'))
"""


def upgrade() -> None:
    for step in STEPS:
        _run(step)


def downgrade() -> None:
    _run(BACK)


def _run(statements: str) -> None:
    """One at a time: the driver prepares each statement."""
    for statement in statements.split(";"):
        op.execute(statement)

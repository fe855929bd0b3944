"""The books: accounts, grants, charges, usage, transfers, prices, plans, payments, and the machinery's tables."""

from alembic import op

from kit.tables import idempotency_table, inbox_table, outbox_table, parked_table

revision = "2026_11_21_1200"
down_revision = None
branch_labels = None
depends_on = None

MACHINERY = (outbox_table, inbox_table, parked_table, idempotency_table)
UNITS = "unit IN ('credit', 'token', 'request')"

CATALOGUE = f"""
CREATE TABLE price_book (
    version integer CONSTRAINT pk_price_book PRIMARY KEY,
    effective_at timestamptz NOT NULL,
    published_at timestamptz NOT NULL,
    source_digest bytea NOT NULL,
    body jsonb NOT NULL
);
CREATE TABLE plan (
    plan_id text NOT NULL,
    version integer NOT NULL,
    is_default boolean NOT NULL,
    effective_at timestamptz NOT NULL,
    body jsonb NOT NULL,
    CONSTRAINT pk_plan PRIMARY KEY (plan_id, version)
);
CREATE TABLE account (
    id uuid CONSTRAINT pk_account PRIMARY KEY,
    state text NOT NULL CONSTRAINT ck_account_state CHECK (state IN ('open', 'frozen', 'closed')),
    version bigint NOT NULL DEFAULT 0,
    auth_version bigint NOT NULL DEFAULT 0,
    plan_id text,
    plan_version integer,
    subscription_id text,
    activated_at timestamptz,
    debt_nano bigint NOT NULL DEFAULT 0 CONSTRAINT ck_account_debt CHECK (debt_nano >= 0),
    transfer_seq bigint NOT NULL DEFAULT 0,
    head bytea,
    arming integer NOT NULL DEFAULT 0,
    armed_base bigint NOT NULL DEFAULT 0,
    armed_unit text NOT NULL DEFAULT 'credit',
    crossed text[] NOT NULL DEFAULT '{{}}',
    created_at timestamptz NOT NULL
) WITH (fillfactor = 70);
CREATE TABLE subscription (
    subscription_id text CONSTRAINT pk_subscription PRIMARY KEY,
    account_id uuid NOT NULL,
    version bigint NOT NULL,
    plan_id text NOT NULL,
    plan_version integer NOT NULL,
    status text NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL
);
CREATE INDEX ix_subscription_account_id ON subscription (account_id);
CREATE TABLE "grant" (
    id uuid CONSTRAINT pk_grant PRIMARY KEY,
    account_id uuid NOT NULL,
    source text NOT NULL CONSTRAINT ck_grant_source
        CHECK (source IN ('trial', 'plan', 'bundle', 'topup', 'promo', 'adjustment')),
    unit text NOT NULL CONSTRAINT ck_grant_unit CHECK ({UNITS}),
    amount bigint NOT NULL CONSTRAINT ck_grant_amount CHECK (amount > 0),
    remaining bigint NOT NULL CONSTRAINT ck_grant_remaining CHECK (remaining >= 0),
    priority integer NOT NULL,
    starts_at timestamptz NOT NULL,
    expires_at timestamptz CONSTRAINT ck_grant_expires CHECK (expires_at > starts_at),
    rule text NOT NULL,
    period text NOT NULL,
    payment_id text,
    paid_minor bigint,
    created_at timestamptz NOT NULL,
    CONSTRAINT uq_grant_account_id_rule_period UNIQUE (account_id, rule, period)
) WITH (fillfactor = 70);
"""

MONEY_IN = """
CREATE TABLE payment (
    payment_id text CONSTRAINT pk_payment PRIMARY KEY,
    account_id uuid NOT NULL,
    kind text NOT NULL,
    offer_id text NOT NULL,
    subscription_id text,
    grant_id uuid,
    unit text NOT NULL,
    grant_amount bigint NOT NULL,
    paid_minor bigint NOT NULL,
    fee_minor bigint NOT NULL,
    currency text NOT NULL,
    settled_at timestamptz NOT NULL
);
CREATE TABLE reversal (
    reversal_id text CONSTRAINT pk_reversal PRIMARY KEY,
    payment_id text NOT NULL,
    account_id uuid NOT NULL,
    state text NOT NULL CONSTRAINT ck_reversal_state CHECK (state IN ('refunded', 'disputed', 'won', 'lost')),
    reversed_minor bigint NOT NULL,
    taken_amount bigint NOT NULL,
    taken_debt bigint NOT NULL,
    booked_at timestamptz NOT NULL
);
CREATE INDEX ix_reversal_payment_id ON reversal (payment_id);
CREATE TABLE adjustment (
    id uuid CONSTRAINT pk_adjustment PRIMARY KEY,
    account_id uuid NOT NULL,
    amount_nano bigint NOT NULL,
    reason text NOT NULL,
    actor_user_id uuid NOT NULL,
    allow_debt boolean NOT NULL,
    grant_id uuid,
    created_at timestamptz NOT NULL
);
CREATE INDEX ix_adjustment_account_id ON adjustment (account_id);
"""

CALLS = f"""
CREATE TABLE charge (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    digest bytea NOT NULL,
    outcome text NOT NULL,
    price_nano bigint NOT NULL CONSTRAINT ck_charge_price CHECK (price_nano >= 0),
    cost_nano bigint NOT NULL CONSTRAINT ck_charge_cost CHECK (cost_nano >= 0),
    unit text NOT NULL,
    price_book_version integer NOT NULL,
    plan_id text,
    plan_version integer,
    markup_bps integer NOT NULL,
    model text NOT NULL,
    admitted_at timestamptz NOT NULL,
    booked_at timestamptz NOT NULL,
    CONSTRAINT pk_charge PRIMARY KEY (account_id, id)
) PARTITION BY RANGE (id);
CREATE TABLE charge_rest PARTITION OF charge DEFAULT;
CREATE TABLE usage_detail (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    project_id uuid,
    user_id uuid,
    api_key_id uuid,
    gateway_instance text NOT NULL,
    surface text NOT NULL,
    streamed boolean NOT NULL,
    model_asked text NOT NULL,
    model_served text,
    route text NOT NULL,
    outcome text NOT NULL,
    basis text NOT NULL,
    http_status integer,
    error_type text,
    input_tokens integer NOT NULL,
    cache_write_5m_tokens integer NOT NULL,
    cache_write_1h_tokens integer NOT NULL,
    cache_read_tokens integer NOT NULL,
    output_tokens integer NOT NULL,
    web_search_requests integer NOT NULL,
    iterations jsonb,
    service_tier text,
    inference_geo text,
    speed text,
    admitted_at timestamptz NOT NULL,
    first_byte_at timestamptz,
    ended_at timestamptz NOT NULL,
    allocation jsonb,
    attempts integer NOT NULL,
    upstream_request_id text,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    CONSTRAINT pk_usage_detail PRIMARY KEY (account_id, id)
) PARTITION BY RANGE (id);
CREATE TABLE usage_detail_rest PARTITION OF usage_detail DEFAULT;
CREATE TABLE transfer (
    account_id uuid NOT NULL,
    seq bigint NOT NULL,
    source text NOT NULL,
    target text NOT NULL,
    unit text NOT NULL CONSTRAINT ck_transfer_unit CHECK ({UNITS}),
    amount bigint NOT NULL CONSTRAINT ck_transfer_amount CHECK (amount > 0),
    kind text NOT NULL,
    charge_id uuid,
    grant_id uuid,
    reference text,
    balance_after bigint,
    booked_at timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    hash bytea,
    CONSTRAINT pk_transfer PRIMARY KEY (account_id, seq),
    CONSTRAINT ck_transfer_moves CHECK (source <> target)
);
"""

REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are only ever inserted', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
"""
INSERT_ONLY = """
CREATE TRIGGER transfer_is_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transfer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

# The partition key is the id itself: a UUIDv7 begins with 48 bits of milliseconds, so a month is a range of ids.
UUID7_FLOOR = """
CREATE FUNCTION uuid7_floor(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;
"""
ENSURE_PARTITIONS = """
CREATE FUNCTION ensure_month_partitions(first_month date, months integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    made integer := 0;
    parent text;
    starts timestamptz;
    ends timestamptz;
    name text;
BEGIN
    FOR number IN 0 .. months - 1 LOOP
        starts := (date_trunc('month', first_month) + make_interval(months => number)) AT TIME ZONE 'UTC';
        ends := (date_trunc('month', first_month) + make_interval(months => number + 1)) AT TIME ZONE 'UTC';
        FOREACH parent IN ARRAY ARRAY['charge', 'usage_detail'] LOOP
            name := parent || to_char(starts AT TIME ZONE 'UTC', '_YYYY_MM');
            IF to_regclass(name) IS NULL THEN
                EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                               name, parent, uuid7_floor(starts), uuid7_floor(ends));
                made := made + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
"""
FIRST_PARTITIONS = "SELECT ensure_month_partitions((now() - interval '2 months')::date, 6)"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in MACHINERY:
        table.create(op.get_bind())
    for script in (CATALOGUE, MONEY_IN, CALLS):
        # The driver takes one statement at a time; none of these holds a semicolon of its own.
        for statement in script.strip().rstrip(";").split(";"):
            op.execute(statement)
    for statement in (REFUSE_CHANGE, INSERT_ONLY, UUID7_FLOOR, ENSURE_PARTITIONS, FIRST_PARTITIONS):
        op.execute(statement)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in (
        "transfer",
        "usage_detail",
        "charge",
        "adjustment",
        "reversal",
        "payment",
        '"grant"',
        "subscription",
        "account",
        "plan",
        "price_book",
    ):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION ensure_month_partitions(date, integer)")
    op.execute("DROP FUNCTION uuid7_floor(timestamptz)")
    op.execute("DROP FUNCTION refuse_change()")
    for table in reversed(MACHINERY):
        table.drop(op.get_bind())

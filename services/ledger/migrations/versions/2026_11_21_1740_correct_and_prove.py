"""Corrections of charges, what gateways counted and whether it agrees, archives of usage detail, frozen accounts."""

from alembic import op

revision = "2026_11_21_1740"
down_revision = "2026_11_21_1730"
branch_labels = None
depends_on = None

FROZEN = "ALTER TABLE account ADD COLUMN frozen boolean NOT NULL DEFAULT false"
# Almost free to keep, as rows come nearly in the order of their admission: what reconcile counts a window by.
BY_ADMISSION = "CREATE INDEX ix_usage_detail_admitted_at ON usage_detail USING brin (admitted_at)"

TABLES = (
    """
    CREATE TABLE account_hold (
        id uuid CONSTRAINT pk_account_hold PRIMARY KEY,
        account_id uuid NOT NULL,
        action text NOT NULL CONSTRAINT ck_account_hold_action CHECK (action IN ('freeze', 'thaw')),
        reason text NOT NULL,
        actor text NOT NULL,
        created_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ix_account_hold_account_id ON account_hold (account_id)",
    """
    CREATE TABLE rerate_run (
        id uuid CONSTRAINT pk_rerate_run PRIMARY KEY,
        price_book_version integer NOT NULL,
        window_start timestamptz NOT NULL,
        window_end timestamptz NOT NULL,
        account_id uuid,
        after_account_id uuid,
        after_call_id uuid,
        charges bigint NOT NULL DEFAULT 0,
        corrected bigint NOT NULL DEFAULT 0,
        price_nano numeric(38, 0) NOT NULL DEFAULT 0,
        cost_nano numeric(38, 0) NOT NULL DEFAULT 0,
        started_at timestamptz NOT NULL,
        finished_at timestamptz
    )
    """,
    """
    CREATE TABLE charge_correction (
        account_id uuid NOT NULL,
        call_id uuid NOT NULL,
        n integer NOT NULL CONSTRAINT ck_charge_correction_n CHECK (n > 0),
        run_id uuid NOT NULL,
        price_book_version integer NOT NULL,
        price_nano bigint NOT NULL CONSTRAINT ck_charge_correction_price CHECK (price_nano >= 0),
        cost_nano bigint NOT NULL CONSTRAINT ck_charge_correction_cost CHECK (cost_nano >= 0),
        first_seq bigint NOT NULL,
        last_seq bigint NOT NULL,
        booked_at timestamptz NOT NULL,
        CONSTRAINT pk_charge_correction PRIMARY KEY (account_id, call_id, n)
    )
    """,
    """
    CREATE TRIGGER charge_correction_is_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON charge_correction
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TABLE calls_counted (
        gateway_instance text NOT NULL,
        window_start timestamptz NOT NULL,
        window_end timestamptz NOT NULL,
        admitted bigint NOT NULL,
        CONSTRAINT pk_calls_counted PRIMARY KEY (gateway_instance, window_start)
    )
    """,
    """
    CREATE TABLE reconciliation (
        gateway_instance text NOT NULL,
        window_start timestamptz NOT NULL,
        window_end timestamptz NOT NULL,
        admitted bigint NOT NULL,
        booked bigint NOT NULL,
        parked bigint NOT NULL,
        set_aside bigint NOT NULL,
        silent_minutes integer NOT NULL,
        missing uuid[] NOT NULL,
        is_equal boolean NOT NULL,
        unreachable text[] NOT NULL,
        checked_at timestamptz NOT NULL,
        CONSTRAINT pk_reconciliation PRIMARY KEY (gateway_instance, window_start, window_end)
    )
    """,
    """
    CREATE TABLE archive_manifest (
        name text CONSTRAINT pk_archive_manifest PRIMARY KEY,
        first_id uuid NOT NULL,
        end_id uuid NOT NULL,
        state text NOT NULL CONSTRAINT ck_archive_manifest_state CHECK (state IN ('verified', 'dropped')),
        file text NOT NULL,
        row_count bigint NOT NULL,
        bytes bigint NOT NULL,
        sha256 bytea NOT NULL,
        content_sum numeric(38, 0) NOT NULL,
        archived_at timestamptz NOT NULL,
        dropped_at timestamptz
    )
    """,
    "CREATE INDEX ix_archive_manifest_first_id ON archive_manifest (first_id)",
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(FROZEN)
    op.execute(BY_ADMISSION)
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in (
        "archive_manifest",
        "reconciliation",
        "calls_counted",
        "charge_correction",
        "rerate_run",
        "account_hold",
    ):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP INDEX ix_usage_detail_admitted_at")
    op.execute("ALTER TABLE account DROP COLUMN frozen")

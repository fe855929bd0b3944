"""Customers' own operations: their idempotency keys, what calls were, and the counts of tools that providers run."""

from alembic import op

revision = "2026_11_21_1600"
down_revision = "2026_11_21_1200"
branch_labels = None
depends_on = None

# Not partitioned: a key is unique whatever month its call's id falls in, and only operations have one.
OPERATION_KEY = """
CREATE TABLE operation_key (
    account_id uuid NOT NULL,
    route text NOT NULL,
    key text NOT NULL,
    body_sha256 bytea NOT NULL,
    charge_id uuid NOT NULL,
    quantity bigint NOT NULL CONSTRAINT ck_operation_key_quantity CHECK (quantity >= 0),
    claimed_at timestamptz NOT NULL,
    CONSTRAINT pk_operation_key PRIMARY KEY (account_id, route, key)
)
"""
DETAIL = """
ALTER TABLE usage_detail
    ADD COLUMN web_fetch_requests integer NOT NULL DEFAULT 0,
    ADD COLUMN code_execution_requests integer NOT NULL DEFAULT 0,
    ADD COLUMN operation jsonb
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(OPERATION_KEY)
    op.execute(DETAIL)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        "ALTER TABLE usage_detail DROP COLUMN operation, DROP COLUMN code_execution_requests,"
        " DROP COLUMN web_fetch_requests"
    )
    op.execute("DROP TABLE operation_key")

"""Create deliveries, known subscriptions and the machinery's tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from kit.tables import NAMING, inbox_table, outbox_table, parked_table

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MACHINERY = (outbox_table, inbox_table, parked_table)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    metadata = sa.MetaData(naming_convention=NAMING)
    for table in MACHINERY:
        table.to_metadata(metadata).create(op.get_bind())
    _create_delivery()
    op.create_table(
        "subscription",
        sa.Column("subscription_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("plan_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("cancel_at_period_end", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("subscription_id", name="pk_subscription"),
    )


def _create_delivery() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("dedupe_key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Uuid()),
        sa.Column("message_id", sa.Uuid()),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, server_default="pending"),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("mailed_to", sa.ARRAY(sa.Uuid()), nullable=False, server_default="{}"),
        sa.Column("reason", sa.Text()),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_delivery"),
        sa.UniqueConstraint("dedupe_key", name="uq_delivery_dedupe_key"),
        sa.CheckConstraint("state IN ('pending', 'sent', 'failed', 'skipped')", name=op.f("ck_delivery_state_known")),
        sa.CheckConstraint(
            "(audience = 'account' AND account_id IS NOT NULL AND message_id IS NULL)"
            " OR (audience = 'message' AND message_id IS NOT NULL AND account_id IS NULL)"
            " OR (audience = 'operators' AND account_id IS NULL AND message_id IS NULL)",
            name=op.f("ck_delivery_audience_named"),
        ),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_delivery_attempts_not_negative")),
    )
    op.create_index("ix_delivery_due", "delivery", ["next_attempt_at"], postgresql_where=sa.text("state = 'pending'"))
    op.create_index("ix_delivery_feed", "delivery", ["account_id", "created_at", "id"])
    op.create_index("ix_delivery_newest", "delivery", ["created_at", "id"])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("subscription")
    op.drop_table("delivery")
    for table in reversed(MACHINERY):
        op.drop_table(table.name)

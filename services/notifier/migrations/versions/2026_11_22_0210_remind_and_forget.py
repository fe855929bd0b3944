"""Remind of ends in time, and forget what is old."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

REMINDED = sa.text("remind_at IS NOT NULL")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("subscription", sa.Column("account_id", sa.Uuid()))
    op.add_column("subscription", sa.Column("pending_plan_id", sa.Text()))
    op.add_column("subscription", sa.Column("ends_at", sa.DateTime(timezone=True)))
    op.add_column("subscription", sa.Column("remind_at", sa.DateTime(timezone=True)))
    whole = "remind_at IS NULL OR (account_id IS NOT NULL AND ends_at IS NOT NULL)"
    op.create_check_constraint(op.f("ck_subscription_reminder_whole"), "subscription", whole)
    op.create_index("ix_subscription_remind_at", "subscription", ["remind_at"], postgresql_where=REMINDED)
    op.create_index("ix_feed_read_read_at", "feed_read", ["read_at"])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("ix_feed_read_read_at", "feed_read")
    op.drop_index("ix_subscription_remind_at", "subscription")
    op.drop_constraint("ck_subscription_reminder_whole", "subscription")
    for column in ("remind_at", "ends_at", "pending_plan_id", "account_id"):
        op.drop_column("subscription", column)

"""Create endpoints: where else an account is told."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

PENDING_MAIL = sa.text("state = 'pending' AND target_id IS NULL")
PENDING_TARGET = sa.text("state = 'pending' AND target_id IS NOT NULL")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("delivery", sa.Column("channel", sa.Text(), nullable=False, server_default="mail"))
    op.add_column("delivery", sa.Column("target_id", sa.Uuid()))
    named = "(channel = 'mail') = (target_id IS NULL)"
    op.create_check_constraint(op.f("ck_delivery_target_named"), "delivery", named)
    op.drop_index("ix_delivery_waiting", "delivery")
    due = ["priority", "next_attempt_at"]
    op.create_index("ix_delivery_waiting", "delivery", due, postgresql_where=PENDING_MAIL)
    op.create_index("ix_delivery_waiting_target", "delivery", due, postgresql_where=PENDING_TARGET)
    targeted = sa.text("target_id IS NOT NULL")
    op.create_index("ix_delivery_target", "delivery", ["target_id", "created_at", "id"], postgresql_where=targeted)
    _create_endpoint()


def _create_endpoint() -> None:
    op.create_table(
        "endpoint",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("url_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("secret_sealed", sa.LargeBinary()),
        sa.Column("old_secret_sealed", sa.LargeBinary()),
        sa.Column("old_secret_until", sa.DateTime(timezone=True)),
        sa.Column("kinds", sa.ARRAY(sa.Text())),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True)),
        sa.Column("disabled_reason", sa.Text()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_endpoint"),
        sa.CheckConstraint(
            "channel IN ('webhook', 'slack', 'discord', 'teams')", name=op.f("ck_endpoint_channel_known")
        ),
        sa.CheckConstraint("state IN ('active', 'disabled')", name=op.f("ck_endpoint_state_known")),
        sa.CheckConstraint(
            "(channel = 'webhook') = (secret_sealed IS NOT NULL)", name=op.f("ck_endpoint_webhooks_are_signed")
        ),
        sa.CheckConstraint(
            "(old_secret_sealed IS NULL) = (old_secret_until IS NULL)", name=op.f("ck_endpoint_old_secret_ends")
        ),
    )
    op.create_index("ix_endpoint_account", "endpoint", ["account_id", "created_at", "id"])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("endpoint")
    op.execute("DELETE FROM delivery WHERE target_id IS NOT NULL")
    for index in ("ix_delivery_target", "ix_delivery_waiting_target", "ix_delivery_waiting"):
        op.drop_index(index, "delivery")
    pending = sa.text("state = 'pending'")
    op.create_index("ix_delivery_waiting", "delivery", ["priority", "next_attempt_at"], postgresql_where=pending)
    op.drop_constraint("ck_delivery_target_named", "delivery")
    op.drop_column("delivery", "target_id")
    op.drop_column("delivery", "channel")

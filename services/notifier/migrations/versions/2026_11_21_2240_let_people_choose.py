"""Let people choose: preferences, schedules, digests, suppressed addresses, what is read."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = ("digest_item", "schedule", "preference", "mail_count", "suppressed", "feed_read", "feed_read_all")


def _instant(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("delivery", sa.Column("user_id", sa.Uuid()))
    op.add_column("delivery", sa.Column("priority", sa.SmallInteger(), nullable=False, server_default="2"))
    op.add_column("delivery", sa.Column("trying_since", sa.DateTime(timezone=True)))
    op.execute("UPDATE delivery SET trying_since = created_at")
    op.alter_column("delivery", "trying_since", nullable=False)
    op.create_check_constraint(op.f("ck_delivery_priority_known"), "delivery", "priority BETWEEN 0 AND 3")
    pending, personal = sa.text("state = 'pending'"), sa.text("user_id IS NOT NULL")
    op.create_index("ix_delivery_waiting", "delivery", ["priority", "next_attempt_at"], postgresql_where=pending)
    op.drop_index("ix_delivery_due", "delivery")
    op.create_index("ix_delivery_person", "delivery", ["user_id", "created_at", "id"], postgresql_where=personal)
    op.create_table(
        "digest_item",
        sa.Column(
            "digest_id",
            sa.Uuid(),
            sa.ForeignKey("delivery.id", ondelete="CASCADE", name="fk_digest_item_digest_id_delivery"),
            nullable=False,
        ),
        sa.Column(
            "notice_id",
            sa.Uuid(),
            sa.ForeignKey("delivery.id", ondelete="CASCADE", name="fk_digest_item_notice_id_delivery"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("digest_id", "notice_id", name="pk_digest_item"),
    )
    _create_choices()
    _create_counts()


def _create_choices() -> None:
    op.create_table(
        "schedule",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("quiet_from", sa.Time()),
        sa.Column("quiet_until", sa.Time()),
        sa.Column("digest_at", sa.Time(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_schedule"),
        sa.CheckConstraint("(quiet_from IS NULL) = (quiet_until IS NULL)", name=op.f("ck_schedule_quiet_whole")),
        sa.CheckConstraint("quiet_from <> quiet_until", name=op.f("ck_schedule_quiet_not_empty")),
    )
    op.create_table(
        "preference",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("mail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "user_id", "kind", name="pk_preference"),
        sa.CheckConstraint("mail IN ('now', 'digest', 'off')", name=op.f("ck_preference_mail_known")),
    )


def _create_counts() -> None:
    op.create_table(
        "mail_count",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        _instant("hour"),
        sa.Column("mails", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_mail_count"),
    )
    op.create_table(
        "suppressed",
        sa.Column("address_hash", sa.LargeBinary(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        _instant("since"),
        _instant("until", nullable=True),
        sa.PrimaryKeyConstraint("address_hash", name="pk_suppressed"),
        sa.CheckConstraint("cause IN ('bounce', 'complaint')", name=op.f("ck_suppressed_cause_known")),
    )
    op.create_table(
        "feed_read",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("notice_id", sa.Uuid(), nullable=False),
        _instant("read_at"),
        sa.PrimaryKeyConstraint("user_id", "notice_id", name="pk_feed_read"),
    )
    op.create_table(
        "feed_read_all",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        _instant("until"),
        _instant("read_at"),
        sa.PrimaryKeyConstraint("user_id", "account_id", name="pk_feed_read_all"),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in reversed(TABLES):
        op.drop_table(table)
    op.drop_index("ix_delivery_person", "delivery")
    op.create_index("ix_delivery_due", "delivery", ["next_attempt_at"], postgresql_where=sa.text("state = 'pending'"))
    op.drop_index("ix_delivery_waiting", "delivery")
    op.drop_constraint("ck_delivery_priority_known", "delivery")
    op.drop_column("delivery", "trying_since")
    op.drop_column("delivery", "priority")
    op.drop_column("delivery", "user_id")

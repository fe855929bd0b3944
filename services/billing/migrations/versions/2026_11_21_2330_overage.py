"""Overage on its way to Stripe's meters."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_21_2330"
down_revision = "2026_11_21_2250"

TABLES = ("overage_fact", "overage_carry", "overage", "metered_item", "meter_check")


def upgrade() -> None:
    _create_facts()
    _create_rows()
    _create_items()


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)


def _instant(name: str, *, nullable: bool = False) -> sa.Column[sa.DateTime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _create_facts() -> None:
    op.create_table(
        "overage_fact",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("plan_id", sa.Text(), nullable=False),
        sa.Column("plan_version", sa.Integer(), nullable=False),
        _instant("hour"),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("amount_nano", sa.BigInteger(), nullable=False),
        _instant("heard_at"),
        sa.PrimaryKeyConstraint(
            "account_id", "plan_id", "plan_version", "hour", "sequence", name=op.f("pk_overage_fact")
        ),
    )
    op.create_table(
        "overage_carry",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("carry_nano", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_overage_carry")),
    )


def _create_rows() -> None:
    op.create_table(
        "overage",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("meter", sa.Text(), nullable=False),
        _instant("hour"),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        _instant("dated_at", nullable=True),
        _instant("first_sent_at", nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _instant("due_at"),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'sent', 'accepted', 'rejected', 'expired')", name=op.f("ck_overage_state_known")
        ),
        sa.CheckConstraint("units > 0", name=op.f("ck_overage_units_positive")),
        sa.PrimaryKeyConstraint("account_id", "meter", "hour", "sequence", name=op.f("pk_overage")),
        sa.UniqueConstraint("identifier", name=op.f("uq_overage_identifier")),
    )
    op.create_index(
        "ix_overage_due",
        "overage",
        ["account_id", "due_at"],
        postgresql_where=sa.text("state IN ('pending', 'sent')"),
    )


def _create_items() -> None:
    op.create_table(
        "metered_item",
        sa.Column("subscription_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        _instant("since"),
        sa.PrimaryKeyConstraint("subscription_id", name=op.f("pk_metered_item")),
    )
    op.create_index(op.f("ix_metered_item_account_id"), "metered_item", ["account_id"], unique=False)
    op.create_table(
        "meter_check",
        sa.Column("subscription_id", sa.Text(), nullable=False),
        _instant("period_end"),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        _instant("period_start"),
        sa.Column("reported_units", sa.BigInteger(), nullable=False),
        sa.Column("counted_units", sa.BigInteger(), nullable=False),
        _instant("checked_at"),
        sa.PrimaryKeyConstraint("subscription_id", "period_end", name=op.f("pk_meter_check")),
    )

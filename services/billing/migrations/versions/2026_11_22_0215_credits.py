"""What is given back of overage, who was told of what nobody bills, and which card a payment was tried with."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_0215"
down_revision = "2026_11_21_2330"


def upgrade() -> None:
    op.create_table(
        "overage_credit",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_overage_credit_amount_positive")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_overage_credit")),
    )
    op.create_index(op.f("ix_overage_credit_account_id"), "overage_credit", ["account_id"])
    op.create_index("ix_overage_credit_due", "overage_credit", ["due_at"], postgresql_where=sa.text("item_id IS NULL"))
    op.create_index(
        "ix_overage_carry_reduced", "overage_carry", ["account_id"], postgresql_where=sa.text("carry_nano < 0")
    )
    op.add_column("overage", sa.Column("told_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("charge_attempt", sa.Column("card_brand", sa.Text(), nullable=True))
    op.add_column("charge_attempt", sa.Column("card_last4", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("charge_attempt", "card_last4")
    op.drop_column("charge_attempt", "card_brand")
    op.drop_column("overage", "told_at")
    op.drop_index("ix_overage_carry_reduced", table_name="overage_carry")
    op.drop_table("overage_credit")

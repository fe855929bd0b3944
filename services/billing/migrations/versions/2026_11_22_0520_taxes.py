"""Taxes: the switch, which checkouts and payments they were asked for, and how much of a payment they are."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_0520"
down_revision = "2026_11_22_0215"


def upgrade() -> None:
    op.create_table(
        "switch",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("is_on", sa.Boolean(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_switch")),
    )
    op.add_column("checkout", sa.Column("is_taxed", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("payment", sa.Column("tax_minor", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("charge_attempt", sa.Column("is_taxed", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("charge_attempt", sa.Column("tax_minor", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("charge_attempt", sa.Column("tax_calculation", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("charge_attempt", "tax_calculation")
    op.drop_column("charge_attempt", "tax_minor")
    op.drop_column("charge_attempt", "is_taxed")
    op.drop_column("payment", "tax_minor")
    op.drop_column("checkout", "is_taxed")
    op.drop_table("switch")

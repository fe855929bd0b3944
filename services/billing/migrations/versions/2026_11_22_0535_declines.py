"""Why a payment failed and with which card, found by its subscription; attempts that wait for their customer."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_0535"
down_revision = "2026_11_22_0520"


def upgrade() -> None:
    for name in ("failure", "card_brand", "card_last4"):
        op.add_column("payment", sa.Column(name, sa.Text(), nullable=True))
    op.create_index("ix_payment_subscription_id", "payment", ["subscription_id", "created_at"])
    op.create_index(
        "ix_charge_attempt_waiting",
        "charge_attempt",
        ["account_id"],
        postgresql_where=sa.text("state = 'needs_action'"),
    )


def downgrade() -> None:
    op.drop_index("ix_charge_attempt_waiting", table_name="charge_attempt")
    op.drop_index("ix_payment_subscription_id", table_name="payment")
    for name in ("card_last4", "card_brand", "failure"):
        op.drop_column("payment", name)

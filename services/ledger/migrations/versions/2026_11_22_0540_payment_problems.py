"""Why billing can charge nothing, for the refusals of gateways."""

from alembic import op

revision = "2026_11_22_0540"
down_revision = "2026_11_21_1760"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE account ADD COLUMN payment_problem text")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE account DROP COLUMN payment_problem")

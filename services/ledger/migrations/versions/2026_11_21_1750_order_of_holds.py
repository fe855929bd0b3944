"""The order in which operators froze and thawed an account: two acts can bear the same instant."""

from alembic import op

revision = "2026_11_21_1750"
down_revision = "2026_11_21_1740"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE account_hold ADD COLUMN n bigint GENERATED ALWAYS AS IDENTITY")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE account_hold DROP COLUMN n")

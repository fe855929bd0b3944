"""Names and budgets, invitations, API keys with networks and rotation."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "a0003"
down_revision = "a0002"
branch_labels = None
depends_on = None

_WITH_BUDGETS = ("accounts", "members", "projects", "api_keys")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("accounts", sa.Column("name", sa.Text(), nullable=True))
    for table in _WITH_BUDGETS:
        empty = sa.text("'[]'::jsonb")
        op.add_column(table, sa.Column("budgets", postgresql.JSONB(), server_default=empty, nullable=False))
    networks = sa.Column(
        "allowed_networks", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False
    )
    op.add_column("api_keys", networks)
    op.add_column("api_keys", sa.Column("rotated_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_api_keys_rotated",
        "api_keys",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'active' AND rotated_at IS NOT NULL"),
    )
    _create_invitations()


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("invitations")
    op.drop_index("ix_api_keys_rotated", table_name="api_keys")
    op.drop_column("api_keys", "rotated_at")
    op.drop_column("api_keys", "allowed_networks")
    for table in reversed(_WITH_BUDGETS):
        op.drop_column(table, "budgets")
    op.drop_column("accounts", "name")


def _create_invitations() -> None:
    op.create_table(
        "invitations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("address_normal", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("invited_by", sa.Uuid(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("role IN ('admin', 'developer', 'user')", name=op.f("ck_invitations_role_known")),
        sa.CheckConstraint("state IN ('open', 'accepted', 'revoked')", name=op.f("ck_invitations_state_known")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_invitations_account_id_accounts")),
        sa.ForeignKeyConstraint(["invited_by"], ["users.id"], name=op.f("fk_invitations_invited_by_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
    )
    op.create_index(op.f("ix_invitations_account_id_id"), "invitations", ["account_id", "id"], unique=False)
    op.create_index(op.f("ix_invitations_address_normal"), "invitations", ["address_normal"], unique=False)
    op.create_index(op.f("ix_invitations_expires_at"), "invitations", ["expires_at"], unique=False)
    op.create_index(
        "uq_invitations_open",
        "invitations",
        ["account_id", "address_normal"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )

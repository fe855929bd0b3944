"""Service accounts, shared projects with keys of their own, and operators' looks."""

import sqlalchemy as sa
from alembic import op

revision = "a0011"
down_revision = "a0004"
branch_labels = None
depends_on = None

_WHOLE = "(share_id IS NULL) = (for_account_id IS NULL) AND (share_id IS NULL) = (for_project_id IS NULL)"
_FOREIGN = (("share_id", "project_shares"), ("for_account_id", "accounts"), ("for_project_id", "projects"))


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _create_service_accounts()
    _create_shares()
    for column, table in _FOREIGN:
        op.add_column("api_keys", sa.Column(column, sa.Uuid(), nullable=True))
        op.create_foreign_key(op.f(f"fk_api_keys_{column}_{table}"), "api_keys", table, [column], ["id"])
    op.create_check_constraint(op.f("ck_api_keys_shared_whole"), "api_keys", _WHOLE)
    op.create_index(
        "ix_api_keys_shared",
        "api_keys",
        ["share_id"],
        unique=False,
        postgresql_where=sa.text("share_id IS NOT NULL"),
    )
    op.add_column("sessions", sa.Column("operator_id", sa.Uuid(), nullable=True))
    op.add_column("sessions", sa.Column("reason", sa.Text(), nullable=True))
    op.create_foreign_key(op.f("fk_sessions_operator_id_users"), "sessions", "users", ["operator_id"], ["id"])
    op.create_check_constraint(
        op.f("ck_sessions_look_has_reason"), "sessions", "(operator_id IS NULL) = (reason IS NULL)"
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_constraint(op.f("ck_sessions_look_has_reason"), "sessions", type_="check")
    op.drop_column("sessions", "reason")
    op.drop_column("sessions", "operator_id")
    op.drop_index("ix_api_keys_shared", table_name="api_keys")
    op.drop_constraint(op.f("ck_api_keys_shared_whole"), "api_keys", type_="check")
    for column, _ in reversed(_FOREIGN):
        op.drop_column("api_keys", column)
    op.drop_table("project_shares")
    op.drop_table("service_accounts")


def _create_service_accounts() -> None:
    op.create_table(
        "service_accounts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_service_accounts_account_id_accounts")),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_service_accounts_created_by_users")),
        sa.ForeignKeyConstraint(["id"], ["users.id"], name=op.f("fk_service_accounts_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_accounts")),
    )
    op.create_index(op.f("ix_service_accounts_account_id_id"), "service_accounts", ["account_id", "id"], unique=False)


def _create_shares() -> None:
    op.create_table(
        "project_shares",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("with_account_id", sa.Uuid(), nullable=False),
        sa.Column("with_project_id", sa.Uuid(), nullable=False),
        sa.Column("access", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tombstoned_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("access IN ('read', 'use')", name=op.f("ck_project_shares_access_known")),
        sa.CheckConstraint("account_id <> with_account_id", name=op.f("ck_project_shares_another_account")),
        sa.CheckConstraint(
            "(state = 'revoked') = (revoked_at IS NOT NULL)", name=op.f("ck_project_shares_revoked_has_time")
        ),
        sa.CheckConstraint("state IN ('active', 'revoked')", name=op.f("ck_project_shares_state_known")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_project_shares_account_id_accounts")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_project_shares_project_id_projects")),
        sa.ForeignKeyConstraint(
            ["with_account_id"], ["accounts.id"], name=op.f("fk_project_shares_with_account_id_accounts")
        ),
        sa.ForeignKeyConstraint(
            ["with_project_id"], ["projects.id"], name=op.f("fk_project_shares_with_project_id_projects")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project_shares")),
    )
    op.create_index(op.f("ix_project_shares_account_id_id"), "project_shares", ["account_id", "id"], unique=False)
    op.create_index(
        op.f("ix_project_shares_with_account_id_id"), "project_shares", ["with_account_id", "id"], unique=False
    )
    op.create_index(
        "uq_project_shares_active",
        "project_shares",
        ["project_id", "with_project_id"],
        unique=True,
        postgresql_where=sa.text("state = 'active'"),
    )

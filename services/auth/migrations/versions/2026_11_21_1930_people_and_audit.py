"""Changes of address, deletion with a grace period, mails about something, the audit log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "a0002"
down_revision = "a0001"
branch_labels = None
depends_on = None

_GUARD = """
CREATE FUNCTION audit_entries_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.network IS NULL
     AND (to_jsonb(NEW) - 'network') = (to_jsonb(OLD) - 'network') THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'audit entries are neither changed nor deleted' USING ERRCODE = 'restrict_violation';
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("users", sa.Column("deletion_due_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(op.f("ix_users_deletion_due_at"), "users", ["deletion_due_at"], unique=False)
    op.alter_column("messages", "user_id", existing_type=sa.Uuid(), nullable=True)
    op.add_column("messages", sa.Column("subject_id", sa.Uuid(), nullable=True))
    op.create_index(op.f("ix_messages_user_id"), "messages", ["user_id"], unique=False)
    ending = sa.Column("cancel_at_period_end", sa.Boolean(), server_default=sa.false(), nullable=False)
    op.add_column("subscriptions", ending)
    _create_email_changes()
    _create_audit()


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("audit_entries")
    op.execute("DROP FUNCTION audit_entries_stay()")
    op.drop_table("email_changes")
    op.drop_column("subscriptions", "cancel_at_period_end")
    op.drop_index(op.f("ix_messages_user_id"), table_name="messages")
    op.drop_column("messages", "subject_id")
    op.execute("DELETE FROM message_links USING messages m WHERE m.id = message_links.message_id AND m.user_id IS NULL")
    op.execute("DELETE FROM messages WHERE user_id IS NULL")
    op.alter_column("messages", "user_id", existing_type=sa.Uuid(), nullable=False)
    op.drop_index(op.f("ix_users_deletion_due_at"), table_name="users")
    op.drop_column("users", "deletion_due_at")


def _create_email_changes() -> None:
    op.create_table(
        "email_changes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("address_normal", sa.Text(), nullable=False),
        sa.Column("old_confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("new_confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_email_changes_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_changes")),
        sa.UniqueConstraint("user_id", name=op.f("uq_email_changes_user_id")),
    )


def _create_audit() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target_kind", sa.Text(), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=False),
        sa.Column("network", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("before", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("after", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
    )
    for column in ("account_id", "actor_id", "target_id"):
        op.create_index(op.f(f"ix_audit_entries_{column}_id"), "audit_entries", [column, "id"], unique=False)
    op.execute(_GUARD)
    op.execute(
        "CREATE TRIGGER audit_entries_stay BEFORE UPDATE OR DELETE ON audit_entries"
        " FOR EACH ROW EXECUTE FUNCTION audit_entries_stay()"
    )
    op.execute(
        "CREATE TRIGGER audit_entries_not_emptied BEFORE TRUNCATE ON audit_entries"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_entries_stay()"
    )

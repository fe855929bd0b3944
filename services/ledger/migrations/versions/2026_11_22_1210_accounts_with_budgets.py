"""Whether an account has budgets stands on its row: a call of one that has none looks for none.

The database notes it, so that a process of the version before, which may still run, does so too.
"""

from alembic import op

revision = "2026_11_22_1210"
down_revision = "2026_11_22_0540"
branch_labels = None
depends_on = None

NOTE = """
CREATE FUNCTION note_budget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE account SET has_budgets = true WHERE id = NEW.account_id AND NOT has_budgets;
    RETURN NULL;
END $$
"""
NOTED = "CREATE TRIGGER budget_is_noted AFTER INSERT ON budget FOR EACH ROW EXECUTE FUNCTION note_budget()"
STANDING = "UPDATE account SET has_budgets = true WHERE id IN (SELECT account_id FROM budget)"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE account ADD COLUMN has_budgets boolean NOT NULL DEFAULT false")
    for statement in (NOTE, NOTED, STANDING):
        op.execute(statement)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP TRIGGER budget_is_noted ON budget")
    op.execute("DROP FUNCTION note_budget()")
    op.execute("ALTER TABLE account DROP COLUMN has_budgets")

"""Run by Alembic; the URL comes from the command, or from FAREGATE_LEDGER_DATABASE_URL when alembic is called by hand."""

import os

from alembic import context

from kit.migrations import run_env
from ledger.tables import metadata

context.config.attributes.setdefault("url", os.environ.get("FAREGATE_LEDGER_DATABASE_URL"))
run_env(metadata)

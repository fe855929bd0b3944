"""Run by Alembic; the URL comes from the command, or from the environment when alembic is called by hand."""

import asyncio
import os

from alembic import context

from kit.migrations import run_env
from ledger.repository.privileges import grant_writer
from ledger.tables import metadata

BY_HAND = os.environ.get("FAREGATE_LEDGER_MIGRATION_URL") or os.environ.get("FAREGATE_LEDGER_DATABASE_URL")

context.config.attributes.setdefault("url", BY_HAND)
run_env(metadata)
asyncio.run(grant_writer(context.config.attributes["url"]))

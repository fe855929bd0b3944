"""Run by Alembic; the URL comes from the command, or from FAREGATE_AUTH_DATABASE_URL when alembic is called by hand."""

import os

from alembic import context

from auth.tables import Base
from kit.migrations import run_env

context.config.attributes.setdefault("url", os.environ.get("FAREGATE_AUTH_DATABASE_URL"))
run_env(Base.metadata)

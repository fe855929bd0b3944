"""Alembic's entry to billing's migrations."""

import os

from alembic import context

from billing.tables import Base
from kit.migrations import run_env

context.config.attributes.setdefault("url", os.environ.get("FAREGATE_BILLING_DATABASE_URL", ""))
run_env(Base.metadata)

"""Alembic's entry; the URL comes from `python -m notifier migrate`, or from the environment."""

import os

from alembic import context

from kit.migrations import run_env
from notifier.tables import Base

context.config.attributes.setdefault("url", os.environ.get("FAREGATE_NOTIFIER_DATABASE_URL", ""))
run_env(Base.metadata)

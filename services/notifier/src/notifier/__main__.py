"""`python -m notifier`."""

from notifier.cli import app

app(prog_name="python -m notifier")

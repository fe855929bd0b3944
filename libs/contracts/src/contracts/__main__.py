"""`python -m contracts`."""

from contracts.cli import app

app(prog_name="python -m contracts")

"""`python -m ledger`."""

from ledger.cli import cli

cli(prog_name="python -m ledger")

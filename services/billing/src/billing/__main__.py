"""`python -m billing`."""

from billing.cli import cli

if __name__ == "__main__":
    cli()

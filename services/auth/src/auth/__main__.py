"""`python -m auth`."""

from auth.cli import cli

if __name__ == "__main__":
    cli()

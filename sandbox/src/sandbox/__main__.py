"""`python -m sandbox <verb>`."""

from sandbox.cli import cli

if __name__ == "__main__":
    cli(prog_name="python -m sandbox")

"""`python -m sandbox.mailbox --smtp-port N --http-port M [--state DIR]`."""

import argparse
from pathlib import Path

from sandbox.mailbox.testing import serve
from sandbox.outside import run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox.mailbox", description=__doc__)
    parser.add_argument("--smtp-port", type=int, required=True, help="0 takes a free port")
    parser.add_argument("--http-port", type=int, required=True, help="0 takes a free port")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--state", type=Path, help="a folder in which the mails outlive the process")
    parser.add_argument("--with-parent", action="store_true", help="stop at the end of standard input")
    options = parser.parse_args()
    run(
        serve(
            host=options.host,
            smtp_port=options.smtp_port,
            http_port=options.http_port,
            folder=options.state,
            with_parent=options.with_parent,
        )
    )


if __name__ == "__main__":
    main()

"""`python -m sandbox.provider --port N [--host H]`."""

import argparse
import os
import sys

from sandbox.outside import run
from sandbox.provider.testing import serve

_SECRET = "FAREGATE_SANDBOX_PROVIDER_API_KEY"  # noqa: S105  the variable's name


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox.provider", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="0 takes a free port")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--with-parent", action="store_true", help="stop at the end of standard input")
    options = parser.parse_args()
    api_key = os.environ.get(_SECRET)
    if not api_key:
        sys.exit(f"{_SECRET} is not set; it is the credential that the stand-in provider accepts")
    run(serve(host=options.host, port=options.port, api_key=api_key, with_parent=options.with_parent))


if __name__ == "__main__":
    main()

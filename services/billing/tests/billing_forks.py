"""Starts billing by forking: a parent that has imported all of it once, so that a start costs no interpreter.

Each line it reads is the environment of one more billing, as JSON; it answers with the child's process id. `wait PID`
is answered when that child is gone. Forked before anything runs: the parent has one thread and no connection.
"""

import json
import os
import sys

from billing.cli import cli


def main() -> None:
    for line in sys.stdin:
        if line.startswith("wait "):
            os.waitpid(int(line.removeprefix("wait ")), 0)
            _answer("gone")
            continue
        pid = os.fork()
        if pid == 0:
            os.environ.update(json.loads(line))
            sys.stdin.close()
            # What it logs is no answer to whoever asked for it.
            os.dup2(2, 1)
            sys.argv = ["billing", "serve"]
            cli()
        _answer(str(pid))


def _answer(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

"""`python -m sandbox.migrate SERVICE`: what `python -m SERVICE migrate` does, without importing the whole service.

Four services start together on two cores; what they import would cost more than what they migrate.
"""

import os
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

from kit import migrations


def main(service: str) -> int:
    variable = f"FAREGATE_{service.upper()}_DATABASE_URL"
    url = os.environ.get(f"FAREGATE_{service.upper()}_MIGRATION_URL") or os.environ.get(variable)
    spec = find_spec(service)
    if url is None or spec is None or spec.origin is None:
        sys.stderr.write(f"{service} cannot be migrated: {variable} is not set, or there is no such service\n")
        return 2
    folder = Path(spec.origin).parents[2] / "migrations"
    if folder.is_dir():
        migrations.upgrade(folder, url)
        sys.stdout.write(f"{service}: database is at head\n")
    else:
        # Installed without its sources: then only its own command knows where they are.
        sys.argv = [service, "migrate"]
        runpy.run_module(service, run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))

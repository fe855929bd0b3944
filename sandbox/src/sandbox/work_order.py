"""A pytest plugin: in which order pytest-xdist's workers take the files up, and where some tests must lie.

Files marked `long` begin first: one that begins last would leave the other workers idle. Left alone, xdist begins with
the files that have the most tests, and those are the quick ones.
"""

from pathlib import Path
from typing import Final

import pytest

LONG: Final = "long"
# `make` collects no more than these for them; elsewhere they would never run.
FOLDERS: Final = {
    "stack": (Path("sandbox/tests"), Path("tests/e2e")),
    "judge": (Path("sandbox/tests"), Path("tests/judges")),
}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long files first, otherwise as they were collected."""
    for item in items:
        for mark, folders in FOLDERS.items():
            if item.get_closest_marker(mark) and item.path.parent.relative_to(config.rootpath) not in folders:
                raise pytest.UsageError(f"{item.nodeid}: tests marked `{mark}` are not looked for here")
    long_files = {item.path for item in items if item.get_closest_marker(LONG)}
    items.sort(key=lambda item: item.path not in long_files)

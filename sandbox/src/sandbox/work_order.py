"""A pytest plugin: in which order pytest-xdist's workers take the files up, and where some tests must lie.

Files marked `long` begin first: one that begins last would leave the other workers idle. Left alone, xdist begins with
the files that have the most tests, and those are the quick ones.

All files that use the one product go to one worker, as the first of its work. A second product would cost half a
minute of a core for its start, and a quarter of a core for being there.
"""

from pathlib import Path
from typing import Any, Final

import pytest
from xdist.scheduler import LoadFileScheduling

LONG: Final = "long"
# `make` collects no more than these for them; elsewhere they would never run.
FOLDERS: Final = {
    "stack": (Path("sandbox/tests"), Path("tests/e2e")),
    "judge": (Path("sandbox/tests"), Path("tests/judges")),
}


# A fixture of tests/e2e, and the files there that have servers of their own instead.
PRODUCT: Final = "product"
SHARERS: Final = Path("tests/e2e")
OF_THEIR_OWN: Final = ("test_all_units.py", "test_commands.py", "test_proofs_in_short.py")


def unit_of(path: Path) -> Path:
    """What one worker does from its first test to its last: a file, or all files that share the product."""
    return SHARERS if path.parent == SHARERS and path.name not in OF_THEIR_OWN else path


class ByProduct(LoadFileScheduling):  # type: ignore[misc]  # xdist's own base has no types
    def _split_scope(self, nodeid: str) -> str:
        return str(unit_of(Path(nodeid.split("::", 1)[0])))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByProduct | None:
    """In place of `--dist loadfile`."""
    return ByProduct(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Those of the product first, then long files, otherwise as they were collected."""
    for item in items:
        path = item.path.relative_to(config.rootpath)
        if path.name in OF_THEIR_OWN and PRODUCT in getattr(item, "fixturenames", ()):
            raise pytest.UsageError(f"{path} uses the product that all share: it is none of those of their own")
        for mark, folders in FOLDERS.items():
            if item.get_closest_marker(mark) and path.parent not in folders:
                raise pytest.UsageError(f"{item.nodeid}: tests marked `{mark}` are not looked for here")
    long_files = {item.path for item in items if item.get_closest_marker(LONG)}
    shares = {item.path for item in items if unit_of(item.path.relative_to(config.rootpath)) == SHARERS}
    items.sort(key=lambda item: (item.path not in shares, item.path not in long_files))

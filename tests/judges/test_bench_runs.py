"""The benchmarks run beside nginx and write what they measured."""

import asyncio
import json
import shutil
import sys
from pathlib import Path

import pytest
from tests.judges.conftest import missing

pytestmark = [pytest.mark.judge, pytest.mark.timeout(300)]


async def test_the_gateway_is_measured_beside_nginx(tmp_path: Path) -> None:
    if shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/bin") is None:
        missing("nginx")

    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "sandbox.bench", "gateway", cwd=tmp_path)
    await asyncio.wait_for(process.wait(), 280)

    figures = json.loads((tmp_path / "build" / "bench.json").read_text())
    assert process.returncode == 0
    assert len(figures) == 4
    assert all(set(figure) == {"name", "value", "unit", "against", "ratio", "must", "holds"} for figure in figures)
    assert all(figure["ratio"] > 0 and "nginx" in figure["against"] for figure in figures)

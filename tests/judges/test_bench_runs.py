"""The benchmarks run beside nginx and write what they measured."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from tests.judges.conftest import missing

pytestmark = [pytest.mark.judge, pytest.mark.timeout(300)]


async def test_the_gateway_is_measured_beside_nginx_and_a_bare_paid_call(tmp_path: Path) -> None:
    if shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/bin") is None:
        missing("nginx")

    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "sandbox.bench", "gateway", cwd=tmp_path)
    await asyncio.wait_for(process.wait(), 280)

    figures = json.loads((tmp_path / "build" / "bench.json").read_text())
    assert len(figures) == 8
    assert all(set(figure) == {"name", "value", "unit", "against", "ratio", "must", "holds"} for figure in figures)
    assert all(figure["ratio"] > 0 and "nginx" in figure["against"] for figure in figures)
    assert sum(figure["against"].startswith("bare call ") for figure in figures) == 4
    # Whether a must is reached says something about a machine that does nothing else; this one may.
    assert all((figure["must"] is None) == (figure["holds"] is None) for figure in figures)
    assert process.returncode == int(any(figure["holds"] is False for figure in figures))


async def test_what_more_workers_bring_is_measured_or_says_that_it_is_not(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "sandbox.bench", "scaling", cwd=tmp_path)
    code = await asyncio.wait_for(process.wait(), 280)

    (figure,) = json.loads((tmp_path / "build" / "bench.json").read_text())
    assert (code, figure["must"]) == (0, None)
    if (os.cpu_count() or 1) < 6:
        assert (figure["value"], figure["ratio"]) == (0, None)
        assert figure["against"] == f"not measured: {os.cpu_count()} cores, needs 6"
    elif figure["ratio"] is not None:
        assert figure["value"] > 0

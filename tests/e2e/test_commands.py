"""The README's commands, as a stranger types them: make run, and from another terminal the rest."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import psutil
import pytest

from sandbox.addresses import PORT_COUNT
from sandbox.selection import without_real_keys
from sandbox.stack.ports import free_port_base
from sandbox.testing import temporary_folder

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]


class Terminal:
    """A shell in the repository, with a state folder and ports of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._env = {
            **without_real_keys(os.environ),
            "FAREGATE_STATE": str(folder),
            "FAREGATE_PORT": str(port),
            "COLUMNS": "200",
        }

    async def start(self, *command: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            env=self._env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )

    async def run(self, *command: str) -> str:
        process = await self.start(*command)
        output, _ = await asyncio.wait_for(process.communicate(), 100)
        assert process.returncode == 0, output.decode()
        return output.decode()


@pytest.fixture(scope="module")
async def terminal() -> AsyncIterator[Terminal]:
    with temporary_folder() as folder:
        yield Terminal(folder, free_port_base(PORT_COUNT))


async def _read_until(process: asyncio.subprocess.Process, words: str) -> str:
    assert process.stdout is not None
    seen = ""
    async with asyncio.timeout(90):
        while words not in seen:
            line = await process.stdout.readline()
            assert line, f"make run ended: {seen}"
            seen += line.decode()
    return seen


async def test_make_run_and_the_commands_beside_it(terminal: Terminal) -> None:
    up = await terminal.start("make", "run")
    try:
        welcome = await _read_until(up, "Try these:")
        assert f"Faregate is up: {terminal.url}" in welcome
        assert "stand-in" in welcome

        account = json.loads(
            await terminal.run(".venv/bin/python", "-m", "sandbox", "account", "--credits", "20", "--json")
        )
        assert set(account) == {"account_id", "token", "api_key"}
        async with httpx2.AsyncClient(base_url=terminal.url) as http:
            answer = await http.get("/ledger/balance", headers={"authorization": f"Bearer {account['token']}"})
        assert answer.status_code == 200
        assert "ready" in await terminal.run(".venv/bin/python", "-m", "sandbox", "status")
        assert "they add up to the nano-credit" in await terminal.run("make", "demo")
        assert "Confirm your address" in await terminal.run("make", "mail")
    finally:
        children = psutil.Process(up.pid).children(recursive=True)
        os.killpg(up.pid, signal.SIGINT)
        await asyncio.wait_for(up.communicate(), 20)
    assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []

    assert await terminal.run("make", "reset")


async def test_make_help_lists_every_target(terminal: Terminal) -> None:
    listed = await terminal.run("make", "help")

    assert {"run", "test", "check", "demo", "judges", "bench"} <= {
        line.split()[0] for line in listed.splitlines() if line
    }

"""`python -m sandbox`, with real servers and stand-ins; the five services are small programs made here."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import psutil
import pytest

from sandbox.addresses import PORT_COUNT
from sandbox.environment import SERVICES
from sandbox.stack.ports import free_port_base
from sandbox.state import Running

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300), pytest.mark.long]

SERVICE = """\
import http.server, json, os, sys

NAME = sys.argv[0].split("/")[-2]
if sys.argv[1] != "serve":
    print(NAME, *sys.argv[1:])
    sys.exit()
users, operators = set(), set()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = {"/health/ready": {}}
        self.answer(200 if self.path in known else 404, known.get(self.path, {}))

    def do_POST(self):
        content = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/auth/register":
            users.add(content["email"])
        if self.path == "/auth/login" and content["email"] not in users:
            return self.answer(401, {})
        self.answer(200, {"access_token": "tok", "account_id": "acc", "key": "fg_test_x"})

    def answer(self, status, content):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_):
        print(self.command, self.path, flush=True)

port = int(os.environ[f"FAREGATE_{NAME.upper()}_PORT"])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


class Sandbox:
    """One state folder and the commands on it."""

    def __init__(self, folder: Path, *, modules: Path) -> None:
        self.folder = folder
        self.port = free_port_base(PORT_COUNT)
        self.env = {**os.environ, "PYTHONPATH": str(modules), "FAREGATE_STATE": str(folder), "COLUMNS": "200"}
        self.env["FAREGATE_PORT"] = str(self.port)

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "sandbox", "up"],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "sandbox", *arguments],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def wait_until_ready(self, process: subprocess.Popen[str]) -> Running:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            running = Running.read(self.folder)
            if running is not None and running.status == "ready":
                return running
            time.sleep(0.1)
        process.kill()
        raise AssertionError(process.communicate()[0])

    def family(self, process: subprocess.Popen[str]) -> list[psutil.Process]:
        supervisor = psutil.Process(process.pid)
        return [supervisor, *supervisor.children(recursive=True)]


@pytest.fixture
def sandbox(state_folder: Path) -> Sandbox:
    for name in SERVICES:
        (state_folder / "modules" / name).mkdir(parents=True)
        (state_folder / "modules" / name / "__init__.py").touch()
        (state_folder / "modules" / name / "__main__.py").write_text(SERVICE)
    # The sandbox's price book begins with the one that the ledger ships.
    shutil.copytree(str(resources.files("ledger") / "price_books"), state_folder / "modules" / "ledger" / "price_books")
    return Sandbox(state_folder / "state", modules=state_folder / "modules")


@pytest.fixture
def detached(sandbox: Sandbox) -> Iterator[Sandbox]:
    came_up = sandbox.run("up", "--detach")
    assert came_up.returncode == 0, came_up.stdout + came_up.stderr
    assert "Faregate is up" in came_up.stdout
    yield sandbox
    sandbox.run("down")


def test_interrupted_it_ends_everything_within_ten_seconds(sandbox: Sandbox) -> None:
    process = sandbox.start()
    running = sandbox.wait_until_ready(process)
    family = sandbox.family(process)

    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=20)[0]

    assert time.monotonic() - began < 10
    assert process.returncode == 0, output
    assert len(running.parts) == 11
    assert len(family) > len(running.parts)
    assert _alive(family) == []
    assert "stand-in" in output
    assert "TOKEN=$(curl" in output


def test_interrupted_while_it_starts_it_leaves_nothing(sandbox: Sandbox) -> None:
    process = sandbox.start()
    while "kafka" not in (running.parts if (running := Running.read(sandbox.folder)) else {}):
        time.sleep(0.05)
    time.sleep(0.5)
    family = sandbox.family(process)

    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=12)

    assert len(family) > 1
    assert _alive(family) == []


def test_a_service_that_dies_ends_everything_and_is_named(sandbox: Sandbox) -> None:
    process = sandbox.start()
    running = sandbox.wait_until_ready(process)
    family = sandbox.family(process)

    os.kill(running.parts["ledger"].pid or 0, signal.SIGKILL)
    output = process.communicate(timeout=20)[0]

    assert process.returncode == 1
    assert "ledger ended with exit code -9" in output
    assert "GET /health/ready" in output
    assert _alive(family) == []


def test_everything_ends_when_the_supervisor_is_killed(sandbox: Sandbox) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux ends children with their parent")
    process = sandbox.start()
    sandbox.wait_until_ready(process)
    family = sandbox.family(process)

    process.kill()
    process.communicate()

    deadline = time.monotonic() + 10
    while _alive(family) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert _alive(family) == []
    assert Running.read(sandbox.folder) is None


def test_a_running_sandbox_answers_to_every_command(detached: Sandbox) -> None:
    assert "It is up already" in detached.run("up", "--detach").stdout
    refused = detached.run("up")
    assert (refused.returncode, "runs already" in refused.stderr) == (1, True)

    status = detached.run("status")
    assert status.returncode == 0, status.stdout
    assert status.stdout.count(" ready ") >= 11

    assert "migrate" in detached.run("logs", "ledger").stdout
    assert "there are logs of" in detached.run("logs", "nobody").stderr
    assert "no mail yet" in detached.run("mail").stdout

    made = json.loads(detached.run("account", "--credits", "2.5", "--json").stdout)
    assert made == {"account_id": "acc", "token": "tok", "api_key": "fg_test_x"}

    in_use = detached.run("reset")
    assert (in_use.returncode, "runs already" in in_use.stderr) == (1, True)
    assert detached.run("down").stdout == "stopped\n"
    assert detached.run("status").returncode == 1
    assert detached.run("reset").stdout == "empty\n"
    assert [path.name for path in detached.folder.iterdir()] == ["lock"]


def test_a_folder_that_is_not_a_sandboxs_is_not_emptied(sandbox: Sandbox) -> None:
    sandbox.folder.mkdir()
    (sandbox.folder / "thesis.txt").write_text("years of work")

    refused = sandbox.run("reset")

    assert refused.returncode == 1
    assert (sandbox.folder / "thesis.txt").exists()


def _alive(family: list[psutil.Process]) -> list[psutil.Process]:
    """Without those that only wait for the system to take note of their end."""
    return [member for member in family if member.is_running() and member.status() != psutil.STATUS_ZOMBIE]

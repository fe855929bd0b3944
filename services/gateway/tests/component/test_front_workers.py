"""One process or several on one port: signals, deaths, restarts, and one /metrics for all."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from sandbox.stack.ports import free_ports

pytestmark = pytest.mark.long

PROGRAM = """
import os, signal, sys
# Before the imports, which take longer than everything else here.
if sys.argv[4] == "dying" and "FAREGATE_GATEWAY_WORKER" in os.environ:
    os._exit(7)
from prometheus_client import Counter, Gauge
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from gateway import serving
from gateway.dataplane.front import ModelRoutes
from kit import logging
from kit.health import Health
from fastapi import FastAPI

logging.configure("gateway")
port, workers, metrics, behaviour = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
CALLS = Counter("calls", "calls")
OPEN = Gauge("open", "open", multiprocess_mode="livesum")

def tell(text):
    # In one write: workers share the file, and an unbuffered `print` makes several.
    os.write(1, f"{text}\\n".encode())

def model(exchange):
    CALLS.inc()
    exchange.answer(200, [], str(os.getpid()).encode())

def build():
    if behaviour == "reloading":
        signal.signal(signal.SIGHUP, lambda *_: tell(f"reloaded {os.getpid()}"))
    OPEN.set(1)
    app = FastAPI()
    app.include_router(Health(has_metrics=not metrics).router())
    protocol = limits.protocol(ModelRoutes({("GET", "/v1/x"): model}))
    return serving.Served(app, protocol, on_stop=lambda: tell("stopping"))

limits = serving.ServingLimits(
    host="127.0.0.1", port=port, instance="one", workers=workers, metrics_address=metrics, shutdown_grace_s=1.0
)
tell(f"instance {os.environ.get('FAREGATE_GATEWAY_INSTANCE')}")
command = (sys.executable, *sys.argv)
serving.run(build, limits, command=command)
"""


class Running:
    def __init__(self, process: "subprocess.Popen[str]", *, port: int, metrics_port: int | None, log: Path) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.metrics_url = f"http://127.0.0.1:{metrics_port or port}/metrics"
        self.log = log

    def pid(self) -> int | None:
        try:
            return int(httpx2.get(f"{self.url}/v1/x", timeout=2, trust_env=False).text)
        except httpx2.TransportError:
            return None

    def workers(self, count: int) -> set[int]:
        """The ids of `count` workers, once so many answer."""
        found: set[int] = set()
        until(lambda: len(alive(found)) >= count, step=lambda: found.add(self._answering()))
        return alive(found)

    def _answering(self) -> int:
        assert self.process.poll() is None, self.log.read_text()
        return self.pid() or 0

    def metrics(self) -> dict[str, float]:
        text = httpx2.get(self.metrics_url, timeout=2, trust_env=False).text
        return {name: float(value) for name, value in re.findall(r"^(\w+) ([0-9.e+]+)$", text, re.MULTILINE)}


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if pid and Path(f"/proc/{pid}").exists()}


def until(condition: Callable[[], bool], *, step: Callable[[], object] = lambda: None, timeout_s: float = 100) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        step()
        time.sleep(0.02)


@pytest.fixture
def serve(tmp_path: Path):
    @contextmanager
    def run(*, workers: int, has_metrics_address: bool = False, behaviour: str = "") -> Iterator[Running]:
        program, log = tmp_path / "program.py", tmp_path / "log"
        program.write_text(PROGRAM)
        port, metrics_port = free_ports(2)
        metrics = f"127.0.0.1:{metrics_port}" if has_metrics_address else ""
        arguments = [str(port), str(workers), metrics, behaviour]
        with log.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, str(program), *arguments], stdout=out, stderr=out, stdin=subprocess.PIPE, text=True
            )
            try:
                yield Running(process, port=port, metrics_port=metrics_port if metrics else None, log=log)
            finally:
                process.kill()
                process.wait()

    return run


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_with_0(serve, workers: int, number: int):
    with serve(workers=workers) as running:
        pids = running.workers(workers)
        running.process.send_signal(number)
        assert running.process.wait(15) == 0
        assert not alive(pids)
        assert running.log.read_text().count("stopping") == workers


def test_workers_have_names_of_their_own_and_one_metrics_page(serve):
    with serve(workers=2, has_metrics_address=True) as running:
        running.workers(2)
        before = running.metrics()["calls_total"]
        for _ in range(10):
            assert running.pid()
        after = running.metrics()
        public = httpx2.get(f"{running.url}/metrics", trust_env=False).status_code

    assert after["calls_total"] == before + 10
    assert after["open"] == 2
    assert public == 404
    assert {"one-w1", "one-w2"} <= set(running.log.read_text().split())


def test_without_an_address_of_its_own_the_page_of_all_workers_is_on_the_port(serve):
    with serve(workers=2) as running:
        running.workers(2)
        assert running.metrics()["open"] == 2


def test_a_worker_that_died_is_started_again_and_counts_no_more(serve):
    with serve(workers=2, has_metrics_address=True) as running:
        first = running.workers(2)
        killed = min(first)
        os.kill(killed, signal.SIGKILL)
        until(lambda: not alive({killed}))
        found = running.workers(2)
        assert killed not in found
        until(lambda: running.metrics()["open"] == 2)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(15) == 0


def test_a_reload_is_passed_on_to_the_workers_and_ends_nobody(serve):
    with serve(workers=2, behaviour="reloading") as running:
        pids = running.workers(2)
        running.process.send_signal(signal.SIGHUP)
        told = [f"reloaded {pid}" for pid in pids]
        until(lambda: all(line in running.log.read_text() for line in told))
        assert running.process.poll() is None
        assert running.workers(2) == pids


def test_a_reload_does_not_kill_a_worker_that_does_not_listen_yet(serve):
    with serve(workers=2) as running:
        pids = running.workers(2)
        running.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert running.workers(2) == pids


def test_workers_that_keep_dying_end_the_gateway_with_an_error(serve):
    with serve(workers=2, behaviour="dying") as running:
        assert running.process.wait(100) == 1
        assert "gateway.workers_keep_dying" in running.log.read_text()


def test_workers_end_when_their_parent_is_killed(serve):
    with serve(workers=2) as running:
        pids = running.workers(2)
        running.process.kill()
        until(lambda: not alive(pids))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_that_is_taken_is_an_error(serve, workers: int):
    with serve(workers=1) as first:
        first.workers(1)
        taken = subprocess.run(
            [*first.process.args[:3], str(workers), *first.process.args[4:]],
            capture_output=True,
            check=False,
            timeout=20,
        )
    assert taken.returncode not in {0, 1} or b"in use" in taken.stderr
    assert taken.returncode != 0

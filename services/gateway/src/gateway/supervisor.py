"""Starts worker processes, passes signals on, starts again what died, and gives up when they keep dying."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

from prometheus_client.multiprocess import mark_process_dead

from kit import logging

log = logging.get(__name__)

SERVE: Final = (sys.executable, "-m", "gateway", "serve")
WORKER_VARIABLE: Final = "FAREGATE_GATEWAY_WORKER"
_INSTANCE_VARIABLE: Final = "FAREGATE_GATEWAY_INSTANCE"
_METRICS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_LOOK_S: Final = 0.1
_QUICK_DEATH_S: Final = 10.0
_MOST_QUICK_DEATHS: Final = 5
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 8.0


def is_worker() -> bool:
    return WORKER_VARIABLE in os.environ


def stop_with_parent() -> None:
    """A worker's standard input ends when its parent does, however that dies."""

    def watch() -> None:
        while os.read(0, 64):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


@dataclass(frozen=True, slots=True)
class Workers:
    """What the worker processes are."""

    count: int
    instance: str
    command: tuple[str, ...]

    def start(self, number: int, *, folder: str) -> "subprocess.Popen[bytes]":
        env = {
            **os.environ,
            WORKER_VARIABLE: str(number),
            _INSTANCE_VARIABLE: f"{self.instance}-w{number}",
            _METRICS_VARIABLE: folder,
        }
        with _reloads_ignored():
            return subprocess.Popen(self.command, env=env, stdin=subprocess.PIPE)  # noqa: S603  # our own program

    @contextmanager
    def metrics_folder(self) -> Iterator[str]:
        """Fresh for each start: what dead workers counted before is not this gateway's."""
        folder = tempfile.mkdtemp(prefix="faregate-gateway-metrics-")
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _reloads_ignored() -> Iterator[None]:
    """A worker inherits it, so that SIGHUP does not kill one that has not come to listen to it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@dataclass(slots=True)
class _Worker:
    number: int
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    start_at: float = 0.0


@dataclass(slots=True)
class Supervisor:
    """Runs until it is told to stop or the workers keep dying."""

    workers: Workers
    folder: str
    patience_s: float
    _running: list[_Worker] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _quick_deaths: int = 0

    def run(self) -> int:
        """The exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGHUP, self._on_reload)
        self._running = [_Worker(number) for number in range(1, self.workers.count + 1)]
        while not self._stopping.is_set():
            for worker in self._running:
                self._look_after(worker)
            if self._quick_deaths >= _MOST_QUICK_DEATHS:
                log.error("gateway.workers_keep_dying", deaths=self._quick_deaths)
                self._stop()
                return 1
            self._stopping.wait(_LOOK_S)
        return self._stop()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping.set()

    def _on_reload(self, number: int, _frame: FrameType | None) -> None:
        for worker in self._running:
            if worker.process is not None:
                worker.process.send_signal(number)

    def _look_after(self, worker: _Worker) -> None:
        now = time.monotonic()
        if worker.process is None:
            if now >= worker.start_at:
                worker.process = self.workers.start(worker.number, folder=self.folder)
                worker.started_at = now
            return
        code = worker.process.poll()
        if code is None:
            return
        self._on_death(worker, code=code, lived_s=now - worker.started_at)

    def _on_death(self, worker: _Worker, *, code: int, lived_s: float) -> None:
        assert worker.process is not None
        self._bury(worker.process)
        self._quick_deaths = self._quick_deaths + 1 if lived_s < _QUICK_DEATH_S else 0
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** max(0, self._quick_deaths - 1))
        log.error("gateway.worker_died", worker=worker.number, code=code, lived_s=round(lived_s, 1), pause_s=pause_s)
        worker.process = None
        worker.start_at = time.monotonic() + pause_s

    def _bury(self, process: "subprocess.Popen[bytes]") -> None:
        if process.stdin is not None:
            process.stdin.close()
        mark_process_dead(process.pid, path=self.folder)  # type: ignore[no-untyped-call]

    def _stop(self) -> int:
        processes = [worker.process for worker in self._running if worker.process is not None]
        for process in processes:
            process.send_signal(signal.SIGTERM)
        until = time.monotonic() + self.patience_s
        codes = [self._wait(process, until=until) for process in processes]
        return 0 if all(code == 0 for code in codes) else 1

    def _wait(self, process: "subprocess.Popen[bytes]", *, until: float) -> int:
        try:
            code = process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.warning("gateway.worker_killed", pid=process.pid)
            process.kill()
            code = process.wait()
        self._bury(process)
        return code

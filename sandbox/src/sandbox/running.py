"""Runs a sandbox in the foreground, or in a process of its own, or for as long as a block lasts."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from sandbox.addresses import Addresses
from sandbox.progress import Progress
from sandbox.selection import Selection
from sandbox.stack import StackError
from sandbox.stack.process import log_tail
from sandbox.state import Part, Running, held
from sandbox.supervisor import Supervisor
from sandbox.welcome import introduce, welcome

LAUNCH_TIMEOUT_S = 900.0  # a first start downloads
STOP_TIMEOUT_S = 15.0
POLL_S = 0.1
LOG_NAME = "sandbox"


@dataclass(slots=True)
class Foreground:
    """The supervisor with its record, its display and its signals."""

    folder: Path
    addresses: Addresses
    console: Console
    env: Mapping[str, str]
    quiet: bool = False

    async def run(self) -> None:
        """Until a signal comes or a process dies; raises `StackError` then and when the start fails."""
        stop = _on_signals()
        with held(self.folder):
            _log_to(self.folder / "logs" / f"{LOG_NAME}.log")
            record = self._record()
            record.write(self.folder)
            supervisor = Supervisor.of(self.folder, addresses=self.addresses, user_env=self.env, on_phase=_ignored)
            try:
                await self._run_until(stop, supervisor, record)
            finally:
                self.console.print("Stopping …")
                record.status = "stopping"
                record.write(self.folder)
                await supervisor.stop()

    async def _run_until(self, stop: asyncio.Event, supervisor: Supervisor, record: Running) -> None:
        self.console.print("Starting the sandbox; Ctrl-C ends it.")
        with Progress(self.console) as progress:
            supervisor.on_phase = self._recorder(record, progress)
            if not await _unless(stop, supervisor.start()):
                return
        if not await _unless(stop, introduce(supervisor, self.addresses.url("gateway"))):
            return
        record.status = "ready"
        record.write(self.folder)
        if not self.quiet:  # its output is a log then, and a log holds no address and no password
            welcome(self.console, self.folder, record)
        await _unless(stop, supervisor.watch())

    def _record(self) -> Running:
        selection = Selection.from_env(self.env)
        return Running(
            pid=os.getpid(),
            started=psutil.Process().create_time(),
            status="starting",
            public_url=self.env.get("FAREGATE_PUBLIC_URL") or self.addresses.url("gateway"),
            mailbox_url=self.addresses.url("mailbox"),
            gateway_port=self.addresses.gateway,
            only_stand_ins=selection.has_only_stand_ins,
            selected=selection.described(),
        )

    def _recorder(self, record: Running, progress: Progress) -> "Recorder":
        return Recorder(self.folder, self.addresses, record, progress)


@dataclass(slots=True)
class Recorder:
    """Takes each change of phase to the screen and to the record."""

    folder: Path
    addresses: Addresses
    record: Running
    progress: Progress

    def __call__(self, name: str, phase: str, pid: int | None) -> None:
        self.progress.show(name, phase)
        self.record.parts[name] = Part(phase=phase, pid=pid, url=f"127.0.0.1:{self.addresses.port(name)}")
        self.record.write(self.folder)


def launch(folder: Path, *, port: int, env: Mapping[str, str], console: Console) -> Running:
    """Start a sandbox that goes on without us; return when it is ready."""
    log_path = folder / "logs" / f"{LOG_NAME}.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log:
        supervisor = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "sandbox", "up", "--quiet", "--state", str(folder), "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(env),
            start_new_session=True,
        )
    deadline = time.monotonic() + LAUNCH_TIMEOUT_S
    with Progress(console) as progress:
        while time.monotonic() < deadline:
            running = Running.read(folder)
            if running is not None and running.pid == supervisor.pid:
                for name, part in running.parts.items():
                    progress.show(name, part.phase)
                if running.status == "ready":
                    return running
            if supervisor.poll() is not None:
                raise StackError(f"the sandbox did not start:\n{log_tail(log_path, 30)}")
            time.sleep(POLL_S)
    supervisor.send_signal(signal.SIGTERM)
    raise StackError(f"the sandbox was not ready after {LAUNCH_TIMEOUT_S:.0f} s:\n{log_tail(log_path, 30)}")


@contextmanager
def running_sandbox(
    folder: Path, *, port: int, console: Console, env: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """A sandbox that is ready; it is left as it was found, running or not."""
    found = Running.read(folder)
    running = found or launch(folder, port=port, env=os.environ if env is None else env, console=console)
    if running.status != "ready":
        raise StackError(f"the sandbox in {folder} is {running.status}; try again when it is ready")
    try:
        yield running
    finally:
        if found is None:
            running.stop(timeout_s=STOP_TIMEOUT_S)


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do the work; False when the stop came first, which cancels the work."""
    task = asyncio.ensure_future(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        return task.done()
    finally:
        stopping.cancel()
        task.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)


def _on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    return stop


def _log_to(path: Path) -> None:
    """What libraries have to say while servers come up; the screen shows what people need."""
    path.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=path, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")


def _ignored(_name: str, _phase: str, _pid: int | None) -> None:
    pass

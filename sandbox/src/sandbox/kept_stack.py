"""A stack that stays up between test runs, in a process of its own (`FAREGATE_TEST_KEEP_STACK`)."""

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from sandbox.stack import External, Stack, StackError, StackPorts

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.1


def kept_stack(folder: Path) -> Stack:
    """The stack that runs in the folder, started when it does not."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        state = _running(folder) or _launch(folder)
    return Stack(folder, ports=StackPorts(**state["ports"]), external=External())


def stop_kept_stack(folder: Path) -> bool:
    """False when none ran."""
    state = _running(folder.resolve())
    if state is None:
        return False
    keeper = psutil.Process(state["pid"])
    keeper.send_signal(signal.SIGTERM)
    keeper.wait(STOP_TIMEOUT_S)
    return True


async def keep(folder: Path) -> None:
    """Hold the stack until a signal comes; this is the keeper process."""
    stopped = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopped.set)
    stack = Stack(folder, external=External()).for_tests()
    async with stack:
        state = {"pid": os.getpid(), "started": psutil.Process().create_time(), "ports": asdict(stack.ports)}
        _state_path(folder).write_text(json.dumps(state))
        await stopped.wait()
    _state_path(folder).unlink(missing_ok=True)


def _launch(folder: Path) -> dict[str, Any]:
    with (folder / "keeper.log").open("wb") as log:
        keeper = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "sandbox.testing", "start", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        state = _running(folder)
        if state is not None:
            return state
        if keeper.poll() is not None:
            break
        time.sleep(POLL_S)
    raise StackError(f"the kept stack did not start:\n{(folder / 'keeper.log').read_text()}")


def _running(folder: Path) -> dict[str, Any] | None:
    try:
        state: dict[str, Any] = json.loads(_state_path(folder).read_text())
        alive = psutil.Process(state["pid"]).create_time() == state["started"]
    except (FileNotFoundError, json.JSONDecodeError, psutil.NoSuchProcess):
        return None
    return state if alive else None


def _state_path(folder: Path) -> Path:
    return folder / "kept.json"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "kept.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

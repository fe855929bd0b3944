"""Child processes that are started, watched and ended, and that do not outlive us.

psutil keeps them instead of mirakuru: at exit mirakuru kills every process whose mark *contains* its own pid as a
substring, which in a container with short pids hits another stack's servers; and it forces our whole environment
(real keys too) on its children.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from sandbox.stack.errors import ProcessDiedError, StackError

PR_SET_PDEATHSIG = 1
STOP_TIMEOUT_S = 4.0
# The kernel ends it at once, but a crowded machine is late to say so.
KILL_TIMEOUT_S = 5.0
POLL_S = 0.05
LOG_TAIL_LINES = 20
LOG_KEPT_BYTES = 20_000_000
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(slots=True)
class Process:
    """One child in a session of its own, writing to one log file.

    Start it from a thread that lives as long as the child should: on Linux the kernel ends the child with that thread.
    """

    name: str
    command: Sequence[str]
    log_path: Path
    env: Mapping[str, str]
    cwd: Path | None = None
    user: int | None = None
    group: int | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = STOP_TIMEOUT_S
    _popen: psutil.Popen | None = field(default=None, repr=False)

    @property
    def pid(self) -> int | None:
        return None if self._popen is None else self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs, and before it was started."""
        return None if self._popen is None else self._popen.poll()

    @property
    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> None:
        if self.is_running:
            raise StackError(f"{self.name} runs already")
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self._roll_log()
        with self.log_path.open("ab") as log:
            self._popen = psutil.Popen(
                list(self.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.env),
                cwd=self.cwd,
                user=self.user,
                group=self.group,
                extra_groups=None if self.user is None else [],
                start_new_session=True,
                preexec_fn=self._die_with_parent if _LIBC is not None else None,
            )

    async def wait_until(self, ready: Callable[[], Awaitable[bool]], *, timeout_s: float) -> None:
        """Poll `ready`; raise with the last log lines when the process ends or the time is over."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not await ready():
            self.raise_if_dead()
            if asyncio.get_running_loop().time() > deadline:
                raise StackError(
                    f"{self.name} was not ready after {timeout_s:.0f} s; last log lines:\n{self.log_tail()}"
                )
            await asyncio.sleep(POLL_S)

    async def wait_for_end(self, *, timeout_s: float) -> None:
        """Raise when it goes on for longer; it does not outlive a caller that gives up."""
        try:
            ended = await self._gone(self._family(), timeout_s=timeout_s)
        finally:
            if self.is_running:
                await self.kill()
        if not ended:
            raise StackError(f"{self.name} took longer than {timeout_s:.0f} s; last log lines:\n{self.log_tail()}")

    def raise_if_dead(self) -> None:
        exit_code = self.exit_code
        if exit_code is not None:
            raise ProcessDiedError(self.name, exit_code=exit_code, log_tail=self.log_tail())

    def log_tail(self, lines: int = LOG_TAIL_LINES) -> str:
        return log_tail(self.log_path, lines)

    def signal_stop(self) -> None:
        """Ask it to end, without waiting."""
        if self.is_running and self._popen is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._popen.send_signal(self.stop_signal)

    async def stop(self) -> None:
        """Ask, wait, then kill; returns when neither it nor a child of it is left."""
        if self._popen is None:
            return
        family = self._family()
        self.signal_stop()
        await self._gone(family, timeout_s=self.stop_timeout_s)
        await self._kill_family(family)
        self._popen = None

    async def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._popen is not None:
            await self._kill_family(self._family())
            self._popen = None

    def _family(self) -> list[psutil.Process]:
        if self._popen is None:
            return []
        try:
            return [self._popen, *self._popen.children(recursive=True)]
        except psutil.NoSuchProcess:
            return [self._popen]

    async def _gone(self, family: Sequence[psutil.Process], *, timeout_s: float) -> bool:
        deadline = asyncio.get_running_loop().time() + timeout_s
        while any(_is_alive(process) for process in family):
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(POLL_S)
        return True

    async def _kill_family(self, family: Sequence[psutil.Process]) -> None:
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if not await self._gone(family, timeout_s=KILL_TIMEOUT_S):
            raise StackError(f"{self.name} (process {self.pid}) cannot be ended")

    def _die_with_parent(self) -> None:
        if _LIBC is not None:
            _LIBC.prctl(PR_SET_PDEATHSIG, int(self.stop_signal))

    def _roll_log(self) -> None:
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_KEPT_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".old.log"))


def log_tail(path: Path, lines: int) -> str:
    """The last lines of a log file, without reading all of it."""
    if not path.exists():
        return "(no log)"
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 65_536))
        text = file.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:]) or "(empty log)"


def _is_alive(process: psutil.Process) -> bool:
    if isinstance(process, psutil.Popen):
        return process.poll() is None
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False

"""Processes on cores, and the CPU that they used; where the system cannot pin, the figures say so."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import psutil

GATEWAY_CORE: Final = 0
OTHERS_CORE: Final = 1


def can_pin() -> bool:
    return sys.platform == "linux" and (psutil.cpu_count() or 1) > 1


def pin(pid: int, core: int) -> None:
    """Put all threads of a process on one core."""
    if not can_pin():
        return
    for thread in psutil.Process(pid).threads():
        psutil.Process(thread.id).cpu_affinity([core])


def unpin(pid: int) -> None:
    """Let a process and its children run where there is room again."""
    if not can_pin():
        return
    process = psutil.Process(pid)
    for one in (process, *process.children(recursive=True)):
        for thread in one.threads():
            with suppress(psutil.NoSuchProcess):
                psutil.Process(thread.id).cpu_affinity([])


@contextmanager
def running_anywhere(pids: Iterable[int]) -> Iterator[None]:
    """Processes that run where there is room, and afterwards where they ran before.

    For what somebody waits: whatever else the system does on a core keeps those waiting who may not leave it.
    """
    pids = list(pids)
    cores = _cores(pids)
    for pid in pids:
        unpin(pid)
    try:
        yield
    finally:
        for thread, before in cores.items():
            with suppress(psutil.NoSuchProcess):
                psutil.Process(thread).cpu_affinity(before)


def _cores(pids: Iterable[int]) -> dict[int, list[int]]:
    """Of each thread of processes and their children."""
    if not can_pin():
        return {}
    found: dict[int, list[int]] = {}
    for process in map(psutil.Process, pids):
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                found |= {thread.id: psutil.Process(thread.id).cpu_affinity() for thread in one.threads()}
    return found


def cpu_s(processes: Iterable[psutil.Process]) -> float:
    """User and system CPU seconds so far."""
    times = [process.cpu_times() for process in processes]
    return float(sum(time.user + time.system for time in times))

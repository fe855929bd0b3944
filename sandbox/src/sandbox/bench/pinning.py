"""Processes on cores, and the CPU that they used; where the system cannot pin, the figures say so."""

import sys
from collections.abc import Iterable
from contextlib import suppress
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


def cpu_s(processes: Iterable[psutil.Process]) -> float:
    """User and system CPU seconds so far."""
    times = [process.cpu_times() for process in processes]
    return float(sum(time.user + time.system for time in times))

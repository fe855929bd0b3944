"""Background tasks of a process: started together, watched, stopped together."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from kit import logging

log = logging.get(__name__)


def is_stopping() -> bool:
    """Whether somebody asks this task to end.

    aiokafka lets `CancelledError` out of its own futures when a connection dies; taken for a request to end, it would
    silently end whoever waits.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


class Tasks:
    """Long-running tasks; one that ends by itself makes the process not live, so that it is restarted."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[Any]] = {}

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks[name] = task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()):
            log.error("kit.task_died", task=task.get_name(), exc_info=error)

    async def live(self) -> None:
        """Raise `RuntimeError` naming a task that ended."""
        for name, task in self._tasks.items():
            if task.done():
                raise RuntimeError(f"task {name} ended")

    async def stop(self, timeout_s: float = 10.0) -> None:
        """Cancel all and wait for them, within a bound."""
        tasks = [task for task in self._tasks.values() if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=timeout_s)
            for task in left:
                log.error("kit.task_did_not_stop", task=task.get_name())
        self._tasks.clear()

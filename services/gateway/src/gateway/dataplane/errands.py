"""Short tasks beside the calls: what has to be awaited once, such as a connection that is opened."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from gateway.dataplane.faults import record_fault


class Errands:
    """Keeps each until it is done; one that dies is logged, never lost silently."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def run(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)

    async def stop(self) -> None:
        for task in list(self._running):
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=5)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            record_fault("gateway.errand_died", error)

"""The calls that run in this process, so that a shutdown can wait for them and a sweep can end them."""

import asyncio
from uuid import UUID

from gateway import metrics
from gateway.dataplane.call import Call
from gateway.usage.ending import Cut
from kit import logging

log = logging.get(__name__)

_AFTER_CUT_S = 12.0


class OpenCalls:
    """Each call is a task of its own; nobody's disconnect cancels it."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], Call] = {}
        self._by_id: dict[UUID, Call] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cutting: asyncio.TimerHandle | None = None
        self.closing = False

    def __len__(self) -> int:
        return len(self._tasks)

    async def run(self, call: Call) -> None:
        """Run the call to its end; being cancelled here does not end it."""
        self._loop = asyncio.get_running_loop()
        task = asyncio.create_task(call.run(), name=f"call {call.call_id}")
        self._tasks[task] = call
        self._by_id[call.call_id] = call
        metrics.CALLS_OPEN.inc()
        task.add_done_callback(self._ended)
        await asyncio.shield(task)

    def stop(self, call_id: UUID, cut: Cut) -> None:
        if call := self._by_id.get(call_id):
            call.stop(cut)

    def begin_closing(self, *, grace_s: float) -> None:
        """No new calls; those that run get `grace_s`. May be called from a signal handler."""
        self.closing = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cut_later, grace_s)

    async def close(self, *, grace_s: float) -> None:
        """Wait for all calls, cut those that outlast the grace, wait for their events."""
        self.closing = True
        if self._cutting is None:
            self._cut_later(grace_s)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace_s + _AFTER_CUT_S)
            for task in late:
                log.error("gateway.call_did_not_end", task=task.get_name())
                task.cancel()
        if self._cutting is not None:
            self._cutting.cancel()

    def _cut_later(self, grace_s: float) -> None:
        if self._cutting is None:
            self._cutting = asyncio.get_running_loop().call_later(grace_s, self._cut_all)

    def _cut_all(self) -> None:
        for call in self._tasks.values():
            call.stop("shutdown")

    def _ended(self, task: asyncio.Task[None]) -> None:
        call = self._tasks.pop(task)
        del self._by_id[call.call_id]
        metrics.CALLS_OPEN.dec()
        if not task.cancelled() and (error := task.exception()):
            log.error("gateway.call_died", call_id=str(call.call_id), kind=type(error).__name__, exc_info=error)

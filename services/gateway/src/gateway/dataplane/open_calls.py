"""The calls that run in this process, so that a shutdown can wait for them and a sweep can end them."""

import asyncio
from typing import Final, Protocol
from uuid import UUID

from gateway import metrics
from gateway.dataplane import call_metrics
from gateway.usage.ending import Cut
from kit import logging

log = logging.get(__name__)

AFTER_CUT_S: Final = 12.0


class Running(Protocol):
    """A call, as far as it is watched over."""

    @property
    def call_id(self) -> UUID: ...

    def tick(self, now: float) -> None: ...

    def stop(self, cut: Cut) -> None: ...


class OpenCalls:
    """All between admission and the end of their answer."""

    def __init__(self) -> None:
        # By the ids' integers: a UUID is hashed in Python, on each look-up anew.
        self._calls: dict[int, Running] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cutting: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._over_at = 0.0
        self.ticked_s = 0.0
        self.closing = False

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: Running) -> None:
        self._calls[call.call_id.int] = call

    def discard(self, call: Running) -> None:
        self._calls.pop(call.call_id.int, None)
        if self.closing and not self._calls:
            self._empty.set()

    def stop(self, call_id: UUID, cut: Cut) -> None:
        if call := self._calls.get(call_id.int):
            call.stop(cut)

    def tick(self, now: float) -> None:
        self.ticked_s = now
        metrics.CALLS_OPEN.set(len(self._calls))
        call_metrics.tell()
        for call in list(self._calls.values()):
            call.tick(now)

    def begin_closing(self, *, grace_s: float) -> None:
        """No new calls; those that run get `grace_s`. May be called from a signal handler."""
        self.closing = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cut_later, grace_s)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    async def close(self, *, grace_s: float) -> None:
        """Wait for all calls, cut those that outlast the grace, wait for their events."""
        self.closing = True
        if self._cutting is None:
            self._cut_later(grace_s)
        try:
            async with asyncio.timeout_at(self._over_at):
                if self._calls:
                    await self._empty.wait()
        except TimeoutError:
            log.error("gateway.calls_did_not_end", calls=len(self._calls))  # noqa: TRY400  # a trace says no more
        finally:
            if self._cutting is not None:
                self._cutting.cancel()
            call_metrics.tell()

    def _cut_later(self, grace_s: float) -> None:
        if self._cutting is None:
            loop = asyncio.get_running_loop()
            self._cutting = loop.call_later(grace_s, self._cut_all)
            self._over_at = loop.time() + grace_s + AFTER_CUT_S

    def _cut_all(self) -> None:
        for call in list(self._calls.values()):
            call.stop("shutdown")

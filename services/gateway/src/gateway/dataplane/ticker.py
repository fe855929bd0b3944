"""One coarse timer for the whole process: a timer per call would cost more than the call."""

import asyncio
from collections.abc import Callable
from typing import Final

from kit.clock import Clock

TICK_S: Final = 0.25


class Ticker:
    """Calls its listeners with the clock's time, four times a second."""

    def __init__(self, *, clock: Clock, every_s: float = TICK_S) -> None:
        self._clock = clock
        self._every_s = every_s
        self._listeners: list[Callable[[float], None]] = []
        self._handle: asyncio.TimerHandle | None = None

    def start(self, *listeners: Callable[[float], None]) -> None:
        self._listeners += listeners
        self._handle = asyncio.get_running_loop().call_later(self._every_s, self._tick)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _tick(self) -> None:
        # Before the listeners: none of them can stop the clock.
        self.start()
        now = self._clock.monotonic()
        for listener in self._listeners:
            listener(now)

"""Redis as admission uses it: one connection for calls, one for slow work, the server's run known for both."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from gateway.admission.address import RedisAddress, RedisMisconfiguredError
from gateway.admission.line import Line, Session
from gateway.admission.wire import RedisLostError
from kit import logging

__all__ = ["RedisConnection", "RedisMisconfiguredError", "Session"]

log = logging.get(__name__)

T = TypeVar("T")

_MOST_WAIT_S: Final = 1.0


class RedisConnection:
    """Whatever goes wrong with Redis is an `AdmissionUnavailableError`. `fast` is for calls, all else is `attempt`."""

    def __init__(self, url: str, *, connect_timeout_s: float = 1.0, timeout_s: float = 2.0) -> None:
        address = RedisAddress.of(url)
        self._timeout_s = timeout_s
        self.fast = Line(address, connect_timeout_s=connect_timeout_s, timeout_s=timeout_s)
        self.slow = Line(address, connect_timeout_s=connect_timeout_s, timeout_s=timeout_s)
        self.fast.on_up = lambda: _agree(self.fast, self.slow)
        self.slow.on_up = lambda: _agree(self.slow, self.fast)
        self._keeping: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Raise `RedisMisconfiguredError` when the server might evict holds; one that is away may come back later."""
        self._begin()
        for line in (self.fast, self.slow):
            if line.wire is None and line.misconfigured is None:
                await line.attempted()
            if line.misconfigured is not None:
                error = line.misconfigured
                await self.stop()
                raise error
        if self.fast.wire is None:
            log.warning("admission.redis_absent_at_start")

    async def stop(self) -> None:
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        self._keeping.clear()

    async def ping(self) -> None:
        """Raise `AdmissionUnavailableError` when Redis does not answer."""
        await self.attempt(lambda session: session.command("PING"))

    async def attempt(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Do the work on one connection, and once more on another where the first broke: it must be idempotent."""
        self._begin()
        try:
            try:
                return await self._once(work)
            except RedisLostError:
                return await self._once(work)
        except TimeoutError as error:
            raise RedisLostError from error

    async def _once(self, work: Callable[[Session], Awaitable[T]]) -> T:
        async with asyncio.timeout(self._timeout_s):
            return await work(await self.slow.up(within_s=_MOST_WAIT_S))

    def _begin(self) -> None:
        if not self._keeping:
            self._keeping = [
                asyncio.create_task(line.keep(), name=f"redis-{name}")
                for name, line in (("fast", self.fast), ("slow", self.slow))
            ]


def _agree(up: Line, other: Line) -> None:
    """Both connections belong to one run; the one that is older by now is made again."""
    if other.run is not None and up.run is not None and other.run.run_id != up.run.run_id:
        other.drop()

"""Customers who go on calling while something happens to the installation."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.raw_calls import Answer, Caller

from sandbox.demo.customer import until

PAUSE_S = 0.1


@dataclass
class Load:
    """So many callers, each with one call after another."""

    caller: Caller
    answers: list[Answer] = field(default_factory=list)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def served(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.is_served]

    @property
    def broken(self) -> list[Answer]:
        """Begun and not ended: what must not happen to a call without its process dying at once."""
        return [answer for answer in self.answers if answer.status is not None and not answer.whole]

    async def go_on(self, **call: Any) -> None:
        while not self._stopping.is_set():
            self.answers.append(await self.caller.ask(**call))
            await asyncio.sleep(PAUSE_S * (0.5 + random.random()))  # callers do not march in step

    async def until_more_are_served(self, count: int) -> None:
        """Calls that began after this moment may be what it waits for, or not."""
        wanted = len(self.served) + count

        async def are_served() -> bool:
            return len(self.served) >= wanted

        await until(f"{count} more calls", are_served, timeout_s=60)

    def stop(self) -> None:
        self._stopping.set()


@asynccontextmanager
async def load(caller: Caller, *, callers: int, **call: Any) -> AsyncIterator[Load]:
    """Under load; at the end every call has been answered or refused."""
    running = Load(caller)
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(running.go_on(**call))
        try:
            yield running
        finally:
            running.stop()

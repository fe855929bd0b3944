"""Argon2id in a bounded pool of threads: each hash takes 19 MiB and some 20 ms of a core."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from auth.domain.passwords import normal
from kit.errors import UnavailableError

T = TypeVar("T")

MEMORY_KIB: Final = 19_456
PASSES: Final = 2
LANES: Final = 1
NICE: Final = 5
WAITING_MOST: Final = 256
TURNS_BESIDE: Final = 3
"""So many are at the database, before or after their hash, while each thread has one: that keeps the threads busy."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the password is right; `renewed` is its hash under today's parameters when those have changed."""

    right: bool
    renewed: str | None = None


def _give_way() -> None:
    """Where cores are few, a hash works in the time that everything else leaves. Elsewhere a thread has no priority."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


class Passwords:
    """Hashes and verifies, within a turn; more than `WAITING_MOST` waiting for one is refused, not queued."""

    def __init__(self, *, threads: int | None = None, passes: int = PASSES, memory_kib: int = MEMORY_KIB) -> None:
        self._argon2 = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=LANES, type=Type.ID)
        # One core stays free for everything else that this process does.
        threads = threads or max(1, (os.cpu_count() or 2) - 1)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2", initializer=_give_way)
        self._turns = asyncio.Semaphore(threads + TURNS_BESIDE)
        self._waiting = 0
        self._decoy: str | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """For a hash with the transactions around it: whoever waits holds nothing, least of all a connection.

        A crowd that is let in all at once would take the pool's connections and the turns of the loop from everybody.
        """
        if self._waiting >= WAITING_MOST:
            raise UnavailableError("Too many are signing in at this moment; try again.", retry_after_s=2)
        self._waiting += 1
        try:
            async with self._turns:
                yield
        finally:
            self._waiting -= 1

    async def hash(self, password: str) -> str:
        return await self._run(partial(self._argon2.hash, normal(password)))

    async def verify(self, password_hash: str | None, password: str) -> Verdict:
        """Takes as long for an unknown user, whose hash is None, as for a known one."""
        return await self._run(partial(self._verify, password_hash, normal(password)))

    async def warm(self) -> None:
        """Make the decoy now, so that the first unknown user takes no longer than the second."""
        await self._run(self._decoy_hash)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password_hash: str | None, password: str) -> Verdict:
        against = password_hash if password_hash is not None else self._decoy_hash()
        try:
            self._argon2.verify(against, password)
        except (VerificationError, InvalidHashError):
            return Verdict(right=False)
        if password_hash is None:
            return Verdict(right=False)
        stale = self._argon2.check_needs_rehash(password_hash)
        return Verdict(right=True, renewed=self._argon2.hash(password) if stale else None)

    def _decoy_hash(self) -> str:
        if self._decoy is None:
            self._decoy = self._argon2.hash(os.urandom(32).hex())
        return self._decoy

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

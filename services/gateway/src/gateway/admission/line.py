"""A connection to Redis that is made again when it breaks, to a server that leads and may hold money."""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from gateway.admission.address import RedisAddress, RedisMisconfiguredError
from gateway.admission.scripts import Script, packed, written
from gateway.admission.types import AdmissionUnavailableError
from gateway.admission.wire import RedisAwayError, RedisLostError, Wire
from kit import logging
from kit.backoff import Backoff

log = logging.get(__name__)

_RUN_ID: Final = re.compile(rb"run_id:([0-9a-f]+)")
_HISTORY: Final = re.compile(rb"master_replid:([0-9a-f]+)")
_ROLE: Final = re.compile(rb"role:(\w+)")
_POLICY: Final = re.compile(rb"maxmemory_policy:(\S+)")
_UPTIME: Final = re.compile(rb"uptime_in_seconds:(\d+)")
_RECHECK_S: Final = 1.0


class NotLeadingError(Exception):
    """The server follows another one, or leads another history than before: what is written there would be lost."""


@dataclass(frozen=True, slots=True)
class Run:
    """One life of a server's memory: its run id, and the history that it leads.

    The history is part of it because a server that was demoted and promoted again keeps its run id, not its memory.
    """

    run_id: str
    began: float


class Session:
    """One connection for a few commands: all of them meet the same run of the server, or fail."""

    def __init__(self, wire: Wire, run: Run) -> None:
        self._wire = wire
        self._run = run

    @property
    def run_id(self) -> str:
        return self._run.run_id

    @property
    def uptime_s(self) -> float:
        """How long this run of the server has lasted, to a second."""
        return time.monotonic() - self._run.began

    async def command(self, *words: str | bytes | int) -> Any:
        return await _answer_of(self._wire, packed(*words))

    async def script(self, script: Script, keys: Sequence[str], *arguments: str | bytes | int) -> Any:
        """Run a script; it is handed over whole where the server does not know it."""
        return await _answer_of(self._wire, written(script, tuple(keys), self.run_id, *arguments), script)


async def _answer_of(wire: Wire, command: bytes, script: Script | None = None) -> Any:
    if not wire.alive:
        raise RedisLostError
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def then(reply: Any) -> None:
        if answered.done():
            return
        if isinstance(reply, Exception):
            answered.set_exception(reply)
        else:
            answered.set_result(reply)

    wire.send(command, then, script)
    return await answered


class Line:
    """One connection that is made again when it breaks. `wire` and `run` are None while there is none."""

    def __init__(self, address: RedisAddress, *, connect_timeout_s: float, timeout_s: float) -> None:
        self._address = address
        self._connect_timeout_s = connect_timeout_s
        self._timeout_s = timeout_s
        self._changed: asyncio.Event | None = None
        self._lost: asyncio.Event | None = None
        self.wire: Wire | None = None
        self.run: Run | None = None
        self.misconfigured: RedisMisconfiguredError | None = None
        self.on_up: Callable[[], None] = lambda: None
        self.on_answered: Callable[[], None] = lambda: None

    async def keep(self) -> None:
        """Connect, and again after each loss, until cancelled."""
        backoff = Backoff(first_s=0.05, most_s=2.0)
        self._lost = asyncio.Event()
        while True:
            try:
                self._lost.clear()
                await self._connect()
                backoff.reset()
                await self._watch(self._lost)
            except (
                OSError,
                TimeoutError,
                NotLeadingError,
                AdmissionUnavailableError,
                RedisMisconfiguredError,
            ) as error:
                reason = str(error) if isinstance(error, RedisMisconfiguredError) else type(error).__name__
                log.warning("admission.redis_not_reached", reason=reason)
                self._notify()
                await asyncio.sleep(backoff.next_s())
            finally:
                self.drop()

    async def up(self, *, within_s: float) -> Session:
        """A session on the present connection; raises `RedisAwayError` when there is none in time."""
        deadline = time.monotonic() + within_s
        while self.wire is None or self.run is None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise RedisAwayError
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self.attempted()
        return Session(self.wire, self.run)

    async def attempted(self) -> None:
        """Until the next connection stands or has failed to."""
        if self._changed is None:
            self._changed = asyncio.Event()
        await self._changed.wait()

    def drop(self) -> None:
        """Give the connection up; another one is made."""
        wire, self.wire, self.run = self.wire, None, None
        if self._lost is not None:
            self._lost.set()
        if wire is not None:
            wire.drop()

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def _on_lost(self, wire: Wire) -> None:
        # One that was given up before may have a successor.
        if self.wire is wire:
            self.drop()

    async def _connect(self) -> None:
        address = self._address
        async with asyncio.timeout(self._connect_timeout_s):
            _, wire = await asyncio.get_running_loop().create_connection(
                lambda: Wire(timeout_s=self._timeout_s, on_lost=self._on_lost, on_answered=self.on_answered),
                address.host,
                address.port,
                ssl=address.tls,
            )
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                for words in address.greeting():
                    await _answer_of(wire, packed(*words))
                run = self._checked(await _answer_of(wire, packed("INFO")))
        except BaseException:
            wire.drop()
            raise
        self.wire, self.run, self.misconfigured = wire, run, None
        self.on_up()
        self._notify()

    def _checked(self, info: bytes) -> Run:
        run_id, history, role, uptime, policy = (
            found.group(1).decode() if (found := pattern.search(info)) else None
            for pattern in (_RUN_ID, _HISTORY, _ROLE, _UPTIME, _POLICY)
        )
        if run_id is None or history is None or uptime is None or policy is None:
            raise self._refused("Redis does not tell its run id, replication, uptime and maxmemory-policy.")
        if policy != "noeviction":
            raise self._refused(
                f"Redis runs with maxmemory-policy {policy}: it could forget what calls have reserved. "
                "Set maxmemory-policy to noeviction."
            )
        if role != "master":
            raise NotLeadingError
        return Run(f"{run_id}:{history}", time.monotonic() - float(uptime))

    def _refused(self, reason: str) -> RedisMisconfiguredError:
        self.misconfigured = RedisMisconfiguredError(reason)
        return self.misconfigured

    async def _watch(self, lost: asyncio.Event) -> None:
        """Until the connection is lost, or the server's role or history is no longer what it was."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_RECHECK_S):
                    await lost.wait()
            wire, run = self.wire, self.run
            if wire is None or run is None:
                raise RedisLostError
            info = await _answer_of(wire, packed("INFO", "replication"))
            history, role = _HISTORY.search(info), _ROLE.search(info)
            if history is None or role is None or role.group(1) != b"master":
                raise NotLeadingError
            if not run.run_id.endswith(":" + history.group(1).decode()):
                raise NotLeadingError

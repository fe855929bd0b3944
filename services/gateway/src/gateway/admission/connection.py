"""Redis as admission uses it: tight time limits, and the server's run id known for every connection."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError

from gateway.admission.scripts import Script
from gateway.admission.types import AdmissionUnavailableError
from kit import logging

log = logging.get(__name__)

T = TypeVar("T")

_RUN_ID: Final = re.compile(rb"run_id:([0-9a-f]+)")
_POLICY: Final = re.compile(rb"maxmemory_policy:(\S+)")
_UPTIME: Final = re.compile(rb"uptime_in_seconds:(\d+)")
POOL_WAIT_S: Final = 1.0


class RedisMisconfiguredError(RedisError):
    """Redis runs, but not in a way that money may be counted in."""


@dataclass(frozen=True, slots=True)
class _Run:
    """One life of a server process, as read at connect."""

    run_id: str
    began: float


class Session:
    """One connection for a few commands: all of them meet the same run of the server, or fail."""

    def __init__(self, connection: AbstractConnection, run: _Run) -> None:
        self._connection = connection
        self._run = run

    @property
    def run_id(self) -> str:
        return self._run.run_id

    @property
    def uptime_s(self) -> float:
        """How long this run of the server has lasted, to a second."""
        return time.monotonic() - self._run.began

    async def command(self, *words: str | bytes | int) -> Any:
        await self._connection.send_command(*words, check_health=False)
        return await self._connection.read_response()

    async def script(self, script: Script, keys: Sequence[str], *arguments: str | bytes | int) -> Any:
        """Run a script; it is handed over whole where the server does not know it."""
        try:
            return await self.command("EVALSHA", script.sha, len(keys), *keys, self.run_id, *arguments)
        except NoScriptError:
            return await self.command("EVAL", script.body, len(keys), *keys, self.run_id, *arguments)


class RedisConnection:
    """A pool of connections. Whatever goes wrong with Redis is an `AdmissionUnavailableError`."""

    def __init__(
        self, url: str, *, max_connections: int = 32, connect_timeout_s: float = 1.0, timeout_s: float = 2.0
    ) -> None:
        self._runs: WeakKeyDictionary[AbstractConnection, _Run] = WeakKeyDictionary()
        self._timeout_s = timeout_s
        self._pool = BlockingConnectionPool.from_url(
            url,
            max_connections=max_connections,
            timeout=POOL_WAIT_S,
            socket_connect_timeout=connect_timeout_s,
            # A limit here makes redis-py use `wait_for`, which on Python 3.11 may swallow a cancellation.
            socket_timeout=None,
            protocol=2,
            redis_connect_func=self._on_connect,
        )

    async def start(self) -> None:
        """Raise `RedisMisconfiguredError` when the server might evict holds; one that is away may come back later."""
        try:
            await self._once(lambda session: session.command("PING"))
        except RedisMisconfiguredError:
            raise
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("admission.redis_absent_at_start", reason=type(error).__name__)

    async def stop(self) -> None:
        await self._pool.disconnect()

    async def ping(self) -> None:
        """Raise `AdmissionUnavailableError` when Redis does not answer."""
        await self.attempt(lambda session: session.command("PING"))

    async def attempt(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Do the work on one connection, and once more on another where the first broke: it must be idempotent."""
        try:
            try:
                return await self._once(work)
            except RedisConnectionError:
                return await self._once(work)
        except (RedisError, OSError, TimeoutError) as error:
            reason = str(error) if isinstance(error, RedisMisconfiguredError) else type(error).__name__
            log.warning("admission.redis_failed", reason=reason)
            raise AdmissionUnavailableError from error

    async def _once(self, work: Callable[[Session], Awaitable[T]]) -> T:
        async with asyncio.timeout(self._timeout_s), self._session() as session:
            return await work(session)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]  # its decorator loses the types
        try:
            yield Session(connection, self._runs[connection])
        except ReadOnlyError:
            # The server was demoted: only a new connection finds the one that leads.
            await connection.disconnect(nowait=True)
            raise
        finally:
            await self._pool.release(connection)

    async def _on_connect(self, connection: AbstractConnection) -> None:
        await connection.on_connect()
        await connection.send_command("INFO", check_health=False)
        info = await connection.read_response()
        run_id, uptime, policy = _RUN_ID.search(info), _UPTIME.search(info), _POLICY.search(info)
        if run_id is None or uptime is None or policy is None:
            raise RedisMisconfiguredError("Redis does not tell its run id, uptime and maxmemory-policy.")
        if policy.group(1) != b"noeviction":
            raise RedisMisconfiguredError(
                f"Redis runs with maxmemory-policy {policy.group(1).decode()}: it could forget what calls have "
                "reserved. Set maxmemory-policy to noeviction."
            )
        self._runs[connection] = _Run(run_id.group(1).decode(), time.monotonic() - float(uptime.group(1)))

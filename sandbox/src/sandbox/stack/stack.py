import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from sandbox.stack import roles
from sandbox.stack.errors import StackError
from sandbox.stack.kafka import Kafka
from sandbox.stack.ports import free_ports
from sandbox.stack.postgres import FOR_TESTS, Postgres
from sandbox.stack.redis import Redis
from sandbox.stack.server import Server

KAFKA_VARIABLE = "FAREGATE_KAFKA_BOOTSTRAP"
REDIS_VARIABLE = "FAREGATE_REDIS_URL"
POSTGRES_VARIABLE = "FAREGATE_POSTGRES_URL"
Progress = Callable[[str, str], None]
AnyServer = TypeVar("AnyServer", bound=Server)


@dataclass(frozen=True, slots=True)
class StackPorts:
    """The ports of the servers that are started here."""

    kafka: int
    kafka_controller: int
    postgres: int
    redis: int

    @classmethod
    def free(cls) -> Self:
        return cls(*free_ports(4))


@dataclass(frozen=True, slots=True)
class External:
    """Servers that run already; each one given is used instead of one of ours."""

    kafka_bootstrap: str | None = None
    redis_url: str | None = None
    postgres_url: str | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        return cls(
            kafka_bootstrap=env.get(KAFKA_VARIABLE) or None,
            redis_url=env.get(REDIS_VARIABLE) or None,
            postgres_url=env.get(POSTGRES_VARIABLE) or None,
        )


class Stack:
    """Kafka, PostgreSQL and Redis, started together; all methods belong to one event loop.

    On Linux the servers end with the thread that called `start`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ports: StackPorts | None = None,
        external: External | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.ports = ports or StackPorts.free()
        self.external = external if external is not None else External.from_env(os.environ)
        self.progress = progress or _silent
        self._ends_at_once = False
        logs = self.folder / "logs"
        self._kafka = Kafka(
            self.folder / "kafka",
            port=self.ports.kafka,
            controller_port=self.ports.kafka_controller,
            log_path=logs / "kafka.log",
        )
        self._redis = Redis(self.folder / "redis", port=self.ports.redis, log_path=logs / "redis.log")
        self._postgres = Postgres(self.folder / "postgres", port=self.ports.postgres, log_path=logs / "postgres.log")

    @property
    def kafka(self) -> Kafka:
        """Our Kafka, to stop, kill and start; raises when another one is used."""
        return _own(self._kafka, elsewhere=self.external.kafka_bootstrap, variable=KAFKA_VARIABLE)

    @property
    def redis(self) -> Redis:
        """Our Redis, to stop, kill and start; raises when another one is used."""
        return _own(self._redis, elsewhere=self.external.redis_url, variable=REDIS_VARIABLE)

    @property
    def postgres(self) -> Postgres:
        """Our PostgreSQL, to stop, kill and start; raises when another one is used."""
        return _own(self._postgres, elsewhere=self.external.postgres_url, variable=POSTGRES_VARIABLE)

    def for_tests(self) -> Self:
        """Before it starts: no waiting for disks, since tests end processes and not machines, and no orderly end."""
        self._postgres.settings |= FOR_TESTS
        self._ends_at_once = True
        return self

    @property
    def kafka_bootstrap(self) -> str:
        return self.external.kafka_bootstrap or self._kafka.bootstrap

    @property
    def redis_url(self) -> str:
        return self.external.redis_url or self._redis.url

    @property
    def admin_url(self) -> str:
        return self.external.postgres_url or self._postgres.admin_url

    def database_url(self, service: str, *, database: str | None = None, is_running: bool = False) -> str:
        """How the owner of a service's tables, or the service `is_running`, reaches its database (or another one)."""
        return roles.database_url(service, admin_url=self.admin_url, database=database, is_running=is_running)

    @property
    def servers(self) -> dict[str, Server]:
        """Those started here, by name."""
        own: dict[str, Server] = {}
        if self.external.kafka_bootstrap is None:
            own["kafka"] = self._kafka
        if self.external.redis_url is None:
            own["redis"] = self._redis
        if self.external.postgres_url is None:
            own["postgres"] = self._postgres
        return own

    def prepare(self) -> None:
        """Make what is known before the start (passwords), so that `database_url` can be asked for."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.external.postgres_url is None:
            self._postgres.prepare()

    def check_ports(self) -> None:
        """Raise when a port that one of our servers needs is taken."""
        for server in self.servers.values():
            server.check_ports()

    def pid_of(self, name: str) -> int | None:
        server = self.servers.get(name)
        return None if server is None else server.pid

    async def start(self) -> None:
        """Start all in parallel; when one fails, the others are stopped again."""
        self.prepare()
        complete = False
        try:
            await self._start_all()
            complete = True
        except BaseExceptionGroup as errors:
            raise StackError("\n".join(messages_of(errors))) from errors
        finally:
            if not complete:
                await self.stop()

    async def stop(self) -> None:
        """Stop all in parallel; no process of ours is left afterwards."""
        async with asyncio.TaskGroup() as group:
            for server in self.servers.values():
                group.create_task(server.kill() if self._ends_at_once else server.stop())

    def raise_if_dead(self) -> None:
        for server in self.servers.values():
            server.raise_if_dead()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _start_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for name, server in self.servers.items():
                group.create_task(self._start_one(name, server))
            for name in {"kafka", "redis", "postgres"} - set(self.servers):
                group.create_task(self._use_one(name))

    async def _use_one(self, name: str) -> None:
        if name == "postgres":
            await roles.create_all(self.admin_url, owns_server=False)
        self.progress(name, "ready")

    async def _start_one(self, name: str, server: Server) -> None:
        self.progress(name, "starting" if server.is_cached() else "downloading (first time only)")
        await server.start()
        self.progress(name, "ready")


def _own(server: AnyServer, *, elsewhere: str | None, variable: str) -> AnyServer:
    if elsewhere is not None:
        raise StackError(f"{variable} points at a server that was not started here, so it cannot be stopped from here")
    return server


def messages_of(errors: BaseExceptionGroup[BaseException]) -> list[str]:
    messages: list[str] = []
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            messages += messages_of(error)
        else:
            messages.append(str(error) or type(error).__name__)
    return messages


def _silent(_name: str, _state: str) -> None:
    pass

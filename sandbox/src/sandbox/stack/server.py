from pathlib import Path
from typing import Protocol

from sandbox.stack.process import Process


class Server(Protocol):
    """One of the stack's servers; stopped and started again it has the same port and the same data."""

    @property
    def log_path(self) -> Path: ...

    @property
    def pid(self) -> int | None: ...

    def is_cached(self) -> bool:
        """Whether a start would download nothing."""
        ...

    def check_ports(self) -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def kill(self) -> None: ...

    def raise_if_dead(self) -> None: ...


class OwnProcess:
    """The part that all servers which are one process of ours share."""

    _process: Process | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def stop(self) -> None:
        if self._process is not None:
            await self._process.stop()

    async def kill(self) -> None:
        if self._process is not None:
            await self._process.kill()

    def raise_if_dead(self) -> None:
        if self._process is not None:
            self._process.raise_if_dead()

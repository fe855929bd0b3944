"""A client that costs little: it shares a core with PostgreSQL, and must not be what is measured."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from sandbox.stack.ports import HOST

OK_BELOW: Final = 300


@dataclass
class Connection:
    """One that is kept alive."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
        return int(lines[0].split()[1]), await self.reader.readexactly(length)


class Door:
    """A service's address, and the connections to it that nobody uses at this moment."""

    def __init__(self, port: int) -> None:
        self.host, self.port = HOST, port
        self._idle: list[Connection] = []

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        for connection in self._idle:
            connection.writer.close()

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        return await self._ask("GET", path, headers or {}, b"")

    async def post(self, path: str, body: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, Any]:
        return await self._ask("POST", path, {**headers, "content-type": "application/json"}, json.dumps(body).encode())

    async def _open(self) -> Connection:
        return Connection(*await asyncio.open_connection(self.host, self.port))

    async def _ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """Raises `RuntimeError` for whatever is no success: nothing of what is measured may be refused."""
        lines = [f"{method} {path} HTTP/1.1", f"host: {self.host}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        connection = (
            self._idle.pop() if self._idle else Connection(*await asyncio.open_connection(self.host, self.port))
        )
        status, answer = await connection.ask("\r\n".join([*lines, "", ""]).encode() + body)
        self._idle.append(connection)
        if status >= OK_BELOW:
            raise RuntimeError(f"{method} {path}: {status} {answer.decode()}")
        return dict(json.loads(answer))

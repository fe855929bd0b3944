"""Providers on real sockets, and what becomes of requests to them."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from uuid import uuid4

from gateway.dataplane.upstream import Upstream
from gateway.dataplane.upstream_request import UpstreamRequest
from gateway.routing.types import Address, Target, Timeouts
from kit.clock import SystemClock

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Ticket:
    call_id = uuid4()


@dataclass
class Sink:
    """Everything that was heard, and an event for its end."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    broken: str | None = None
    ends: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def on_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status, self.headers = status, headers

    def on_bytes(self, data: bytes) -> None:
        self.body += data

    def on_end(self) -> None:
        self.ends += 1
        self.over.set()

    def on_broken(self, kind: str) -> None:
        self.broken = kind
        self.ends += 1
        self.over.set()


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return head, await reader.readexactly(length)


@contextlib.asynccontextmanager
async def serving(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await handler(reader, writer)
        writer.close()

    server = await asyncio.start_server(run, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def answering(*answers: bytes) -> Handler:
    """Answers each request on a connection with the next of these, then closes it."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await read_request(reader)
            writer.write(answer)
            await writer.drain()

    return handler


def target(port: int, *, host: str = "127.0.0.1", tls: bool = False, **timeouts: float) -> Target:
    return Target(
        route="r",
        provider="p",
        kind="anthropic",
        base_url="",
        credential_id="c",
        secret=b"s",
        model="m",
        serves="m",
        address=Address(host, port, tls),
        authority=f"{host}:{port}".encode(),
        auth_header=(b"x-api-key", b"s"),
        timeouts=Timeouts(**timeouts),
    )


def request(body: bytes = b"{}", **changes) -> UpstreamRequest:
    values = {"method": "POST", "path": "/v1/messages", "query": b"", "headers": [], "body": body}
    return UpstreamRequest(**(values | changes))


@contextlib.asynccontextmanager
async def upstream_of(**settings) -> AsyncIterator[Upstream]:
    upstream = Upstream(**settings)
    loop = asyncio.get_running_loop()

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.02)
            upstream.tick(SystemClock().monotonic())

    ticking = loop.create_task(tick())
    try:
        yield upstream
    finally:
        ticking.cancel()
        await upstream.stop()


async def ask(upstream: Upstream, port: int, body: bytes = b"{}", **settings) -> Sink:
    sink = Sink()
    upstream.paid(target(port, **settings), request(body), ticket=Ticket(), sink=sink)
    async with asyncio.timeout(5):
        await sink.over.wait()
    await asyncio.sleep(0)
    return sink


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"

"""A gateway front that really serves, on its own thread and event loop, and a client that speaks bytes."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from gateway.addresses import networks_of
from gateway.dataplane.cors import Cors, allow_origins
from gateway.dataplane.exchange import Exchange
from gateway.dataplane.front import Front, FrontLimits, ModelHandler, ModelRoutes
from gateway.dataplane.protocol import protocol_class


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it reached an application."""

    by: str
    method: str
    path: str
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    peer: str


@dataclass
class RunningFront:
    port: int
    server: uvicorn.Server
    front: Front
    seen: list[Seen] = field(default_factory=list)

    def call(self, callback: Callable[[], None]) -> None:
        """Run on the server's loop, as a handler's later steps do."""
        loop = self.front._loop
        assert loop is not None
        done = threading.Event()

        def run() -> None:
            try:
                callback()
            finally:
                done.set()

        loop.call_soon_threadsafe(run)
        assert done.wait(5)

    def connect(self, *, timeout_s: float = 5.0) -> "Wire":
        return Wire(socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s))

    def exchange(self, request: bytes, *, timeout_s: float = 5.0) -> bytes:
        """Everything that comes back for `request` until the connection ends."""
        with self.connect(timeout_s=timeout_s) as wire:
            wire.send(request)
            return wire.rest()


class Wire(contextlib.AbstractContextManager["Wire"]):
    """One client connection, in bytes."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = connection.makefile("rb")

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        # A server that has refused already may have gone.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def rest(self) -> bytes:
        """All that comes until the server ends the connection."""
        return self._file.read()

    def response(self, *, bodiless: bool = False) -> tuple[int, dict[bytes, bytes], bytes]:
        """The next response: its body has a length, is chunked, or there is none."""
        first = self._line()
        headers = {}
        while line := self._line():
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        status = int(first.split()[1])
        if bodiless or status in {100, 204, 304}:
            return status, headers, b""
        if headers.get(b"transfer-encoding") == b"chunked":
            return status, headers, self._chunked()
        return status, headers, self._file.read(int(headers[b"content-length"]))

    def is_closed(self) -> bool:
        return self._file.read(1) == b""

    def _line(self) -> bytes:
        line = self._file.readline()
        assert line.endswith(b"\r\n"), f"the connection ended after {line!r}"
        return line[:-2]

    def _chunked(self) -> bytes:
        parts = []
        while size := int(self._line(), 16):
            parts.append(self._file.read(size))
            assert self._line() == b""
        assert self._line() == b""
        return b"".join(parts)


def body_of(response: bytes) -> bytes:
    return response.partition(b"\r\n\r\n")[2]


UNREAD = "/app/unread"
"""The app answers here without asking for the body."""


class _App:
    """A small ASGI app that records what reaches it and says how many bytes of body there were."""

    def __init__(self, seen: list[Seen]) -> None:
        self._seen = seen

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", scope["path"] != UNREAD
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self._seen.append(
            Seen(
                "app",
                scope["method"],
                scope["path"],
                scope["query_string"],
                tuple(scope["headers"]),
                body,
                scope["client"][0],
            )
        )
        answer = orjson.dumps({"app": scope["path"], "length": len(body)})
        length = (b"content-length", str(len(answer)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer})


def recording(seen: list[Seen]) -> ModelHandler:
    """A handler that records the exchange and answers how many bytes of body there were."""

    def handler(exchange: Exchange) -> None:
        seen.append(
            Seen(
                "model",
                exchange.method,
                exchange.path,
                exchange.query,
                tuple(exchange.headers),
                exchange.body,
                exchange.peer,
            )
        )
        answer = orjson.dumps({"model": exchange.path, "length": len(exchange.body)})
        exchange.answer(200, [(b"content-type", b"application/json")], answer)

    return handler


def _around(app: Any, origins: Sequence[str]) -> Any:
    if not origins:
        return app
    around = Starlette(routes=[Mount("/", app)])
    allow_origins(around, origins)
    return around


@contextlib.contextmanager
def running_front(
    handlers: Mapping[tuple[str, str], ModelHandler] | None = None,
    *,
    limits: FrontLimits | None = None,
    app: Any = None,
    origins: Sequence[str] = (),
    trusted: Sequence[str] = (),
    grace_s: int = 5,
) -> Iterator[RunningFront]:
    """Serve; `POST /v1/messages` and `GET /v1/models/{id}` are recorded unless `handlers` says otherwise."""
    seen: list[Seen] = []
    table = {
        ("POST", "/v1/messages"): recording(seen),
        ("GET", "/v1/models/{id}"): recording(seen),
        **(handlers or {}),
    }
    protocol = protocol_class(
        ModelRoutes(table),
        limits,
        cors=Cors(origins) if origins else None,
        trusted_proxies=networks_of(trusted),
    )
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        _around(app or _App(seen), origins),
        http=protocol,
        ws="none",
        loop="uvloop",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=grace_s,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield RunningFront(port, server, protocol.front, seen)
    finally:
        server.should_exit = True
        thread.join(grace_s + 5)
        assert not thread.is_alive(), "the server did not stop"


def wait_until(condition: Any, *, timeout_s: float = 5.0) -> None:
    """Wait for another thread's state."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.005)

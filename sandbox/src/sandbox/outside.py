"""How a stand-in for an outside party is served, announced and stopped."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import uvicorn

_UNFINISHED = "ASGI callable returned without completing response."


class _QuietServer(uvicorn.Server):
    """A server that leaves the process's signals to whoever runs the loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _is_news(record: logging.LogRecord) -> bool:
    """Whether the record tells of more than what a stand-in does on purpose: cut answers, also at exit."""
    if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):
        return False
    message = record.getMessage()
    return message != _UNFINISHED and not message.startswith("Cancel ")


def bind(host: str, *, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one."""
    try:
        return socket.create_server((host, port), backlog=2048)
    except OSError as error:
        raise SystemExit(f"cannot listen on {host}:{port}: {error.strerror}") from error


@contextlib.asynccontextmanager
async def serving(app: Callable[..., Any], *, host: str, port: int) -> AsyncIterator[str]:
    """Serve an ASGI application on the running loop and yield its address."""
    listener = bind(host, port=port)
    config = uvicorn.Config(
        app, lifespan="off", access_log=False, log_config=None, server_header=False, timeout_graceful_shutdown=1
    )
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    server = _QuietServer(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            if task.done():
                task.result()
                raise SystemExit(f"the server on port {listener.getsockname()[1]} did not start")
            await asyncio.sleep(0.005)
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


async def until_stopped(*, with_parent: bool) -> None:
    """Wait for SIGINT or SIGTERM or, when asked, for the end of standard input, which a dying parent causes."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if with_parent:
        await loop.connect_read_pipe(lambda: _EndOfInput(stop), sys.stdin)
    await stop.wait()


class _EndOfInput(asyncio.Protocol):
    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop.set()


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a stand-in on the fastest event loop that is installed."""
    logging.basicConfig(level=logging.WARNING)
    factory = uvicorn.Config(app="unused", log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)

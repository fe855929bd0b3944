"""The mailbox inside a running event loop, and the process that serves only it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from aiosmtpd.smtp import SMTP

from sandbox.mailbox.http import mailbox_app
from sandbox.mailbox.smtp import Sink
from sandbox.mailbox.store import MailStore
from sandbox.outside import bind, serving, until_stopped


class RunningMailbox(NamedTuple):
    smtp_port: int
    http_url: str


@contextlib.asynccontextmanager
async def running_mailbox(
    *, host: str = "127.0.0.1", smtp_port: int = 0, http_port: int = 0, folder: Path | None = None
) -> AsyncIterator[RunningMailbox]:
    """Serve the mailbox on the running loop; port 0 takes a free one, no folder keeps mail in memory."""
    store = MailStore(folder)
    async with (
        _smtp(store, host=host, port=smtp_port) as port,
        serving(mailbox_app(store), host=host, port=http_port) as url,
    ):
        yield RunningMailbox(port, url)


@contextlib.asynccontextmanager
async def _smtp(store: MailStore, *, host: str, port: int) -> AsyncIterator[int]:
    listener = bind(host, port=port)
    sink = Sink(store)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(sink, hostname="mailbox.sandbox", ident="Faregate sandbox", enable_SMTPUTF8=True),
        sock=listener,
    )
    try:
        yield listener.getsockname()[1]
    finally:
        server.close()


async def serve(
    *, host: str, smtp_port: int, http_port: int, folder: Path | None = None, with_parent: bool = False
) -> None:
    """Serve until the process is told to stop; the first line on standard output names both addresses."""
    async with running_mailbox(host=host, smtp_port=smtp_port, http_port=http_port, folder=folder) as mailbox:
        line = f"sandbox.mailbox takes mail at smtp://{host}:{mailbox.smtp_port} and shows it at {mailbox.http_url}"
        print(line, flush=True)  # noqa: T201  the addresses are the output
        await until_stopped(with_parent=with_parent)

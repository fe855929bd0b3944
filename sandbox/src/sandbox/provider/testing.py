"""The stand-in provider inside a running event loop, and the process that serves only it."""

import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import NamedTuple

from sandbox.outside import serving, until_stopped
from sandbox.provider.app import ProviderApp


class RunningProvider(NamedTuple):
    base_url: str
    api_key: str


@contextlib.asynccontextmanager
async def running_provider(
    *, host: str = "127.0.0.1", port: int = 0, api_key: str | None = None
) -> AsyncIterator[RunningProvider]:
    """Serve the stand-in on the running loop; port 0 takes a free one."""
    key = api_key or f"sk-sandbox-{secrets.token_hex(16)}"
    async with serving(ProviderApp(api_key=key), host=host, port=port) as base_url:
        yield RunningProvider(base_url, key)


async def serve(*, host: str, port: int, api_key: str, with_parent: bool = False) -> None:
    """Serve until the process is told to stop; the first line on standard output names the address."""
    async with running_provider(host=host, port=port, api_key=api_key) as provider:
        print(f"sandbox.provider listens on {provider.base_url}", flush=True)  # noqa: T201  the address is the output
        await until_stopped(with_parent=with_parent)

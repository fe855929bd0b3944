"""Billing as a process of its own, which can be killed; once, or again and again."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2

from billing.settings import BillingSettings


@asynccontextmanager
async def process(
    settings: BillingSettings, *, stripe_url: str, poll_s: float = 0
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """`python -m billing serve` on a free port."""
    url, env = _environment(settings, stripe_url=stripe_url, poll_s=poll_s)
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "billing", "serve", env={**os.environ, **env})
    try:
        await _answers(url)
        yield child, url
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


@dataclass
class Forks:
    """A parent that starts billings: each is a process like any other, and its start costs a tenth of a second."""

    parent: asyncio.subprocess.Process

    @asynccontextmanager
    async def process(
        self, settings: BillingSettings, *, stripe_url: str, poll_s: float = 0
    ) -> AsyncIterator[tuple[int, str]]:
        """Its process id and address."""
        url, env = _environment(settings, stripe_url=stripe_url, poll_s=poll_s)
        pid = int(await self._asked(json.dumps(env)))
        try:
            await _answers(url)
            yield pid, url
        finally:
            os.kill(pid, signal.SIGKILL)
            await self._asked(f"wait {pid}")

    async def _asked(self, line: str) -> str:
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        self.parent.stdin.write(f"{line}\n".encode())
        answer = await self.parent.stdout.readline()
        assert answer, "the parent of the billings has ended"
        return answer.decode().strip()


@asynccontextmanager
async def forks() -> AsyncIterator[Forks]:
    program = str(Path(__file__).with_name("billing_forks.py"))
    pipe = asyncio.subprocess.PIPE
    parent = await asyncio.create_subprocess_exec(sys.executable, program, stdin=pipe, stdout=pipe)
    try:
        yield Forks(parent)
    finally:
        parent.kill()
        await parent.wait()


def _environment(settings: BillingSettings, *, stripe_url: str, poll_s: float) -> tuple[str, dict[str, str]]:
    """The address of a billing on a free port, and what it is told."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = {
        "FAREGATE_ENVIRONMENT": "sandbox",
        "FAREGATE_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "FAREGATE_PUBLIC_URL": settings.public_url,
        "FAREGATE_AUTH_URL": settings.auth_url,
        "FAREGATE_BILLING_PORT": str(port),
        "FAREGATE_BILLING_DATABASE_URL": settings.database_url.get_secret_value(),
        "FAREGATE_STRIPE_SECRET_KEY": settings.stripe_secret_key.get_secret_value(),
        "FAREGATE_STRIPE_WEBHOOK_SECRET": settings.stripe_webhook_secret.get_secret_value(),
        "FAREGATE_STRIPE_API_URL": stripe_url,
        "FAREGATE_BILLING_STRIPE_POLL_S": str(poll_s),
        "FAREGATE_BILLING_CATALOGUE": str(settings.catalogue),
        "FAREGATE_BILLING_OPEN_PATHS": settings.open_paths,
    }
    if settings.ledger_url is not None and settings.service_secret is not None:
        env["FAREGATE_LEDGER_URL"] = settings.ledger_url
        env["FAREGATE_BILLING_SERVICE_SECRET"] = settings.service_secret.get_secret_value()
    return f"http://127.0.0.1:{port}", env


async def _answers(url: str) -> None:
    async with asyncio.timeout(60), httpx2.AsyncClient() as http:
        while True:
            with suppress(httpx2.HTTPError):
                if (await http.get(f"{url}/health/live")).status_code == 200:
                    return
            await asyncio.sleep(0.1)

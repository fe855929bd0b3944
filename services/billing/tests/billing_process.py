"""Billing as a process of its own, which can be killed."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx2

from billing.settings import BillingSettings


@asynccontextmanager
async def process(
    settings: BillingSettings, *, stripe_url: str, poll_s: float = 0
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """`python -m billing serve` on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = {
        **os.environ,
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
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "billing", "serve", env=env)
    try:
        url = f"http://127.0.0.1:{port}"
        await _answers(url)
        yield child, url
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def _answers(url: str) -> None:
    async with asyncio.timeout(60), httpx2.AsyncClient() as http:
        while True:
            with suppress(httpx2.HTTPError):
                if (await http.get(f"{url}/health/live")).status_code == 200:
                    return
            await asyncio.sleep(0.1)

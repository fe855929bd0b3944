"""A pytest plugin: a Stripe stand-in of its own for every test that asks for one."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kit.clock import Clock, SystemClock
from sandbox.stripe.app import running_stripe
from sandbox.stripe.receiver import WebhookReceiver, running_receiver
from sandbox.stripe.settings import Settings

START_TIMEOUT_S = 10
SECRET_KEY = "sk_test_sandbox"  # noqa: S105 - opens nothing but this stand-in
WEBHOOK_SECRET = "whsec_sandbox"  # noqa: S105


class StripeServer:
    """A running stand-in, as a test sees it."""

    def __init__(self, base_url: str, settings: Settings) -> None:
        self.base_url = base_url
        self.secret_key = settings.secret_key
        self.webhook_secret = settings.webhook_secret

    def set_webhook_url(self, url: str) -> None:
        self.control("/sandbox/webhooks", {"url": url})

    def control(self, path: str, json: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make something happen that nobody can ask of Stripe."""
        return self._shown(httpx2.post(self.base_url + path, json=json or {}))

    def deliveries(self, event_id: str | None = None) -> list[dict[str, Any]]:
        params = {"event": event_id} if event_id else {}
        return list(self._shown(httpx2.get(f"{self.base_url}/sandbox/deliveries", params=params))["data"])

    def requests(self) -> list[dict[str, Any]]:
        """What the API was asked so far, oldest first."""
        return list(self._shown(httpx2.get(f"{self.base_url}/sandbox/requests"))["data"])

    def _shown(self, response: httpx2.Response) -> dict[str, Any]:
        if not response.is_success:
            raise AssertionError(f"{response.request.url}: {response.status_code} {response.text}")
        shown: dict[str, Any] = response.json()
        return shown


@contextmanager
def running_stripe_server(
    *,
    clock: Clock | None = None,
    state_folder: Path | None = None,
    retry_delays_s: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4, 0.8),
) -> Iterator[StripeServer]:
    """A server on a free port in a thread of its own: its loop never waits for the test's."""
    settings = Settings(
        secret_key=SECRET_KEY, webhook_secret=WEBHOOK_SECRET, state_folder=state_folder, retry_delays_s=retry_delays_s
    )
    serving = _Serving(settings, clock=clock or SystemClock())
    try:
        yield StripeServer(serving.start(), settings)
    finally:
        serving.stop()


class _Serving:
    def __init__(self, settings: Settings, *, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._address: Future[str] = Future()
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="stripe-stand-in", daemon=True)

    def start(self) -> str:
        self._thread.start()
        return self._address.result(START_TIMEOUT_S)

    def stop(self) -> None:
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_TIMEOUT_S)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with running_stripe(self._settings, clock=self._clock) as base_url:
            self._address.set_result(base_url)
            await self._stop.wait()


@pytest.fixture
def stripe_server() -> Iterator[StripeServer]:
    """Empty, in memory, with no webhook address yet."""
    with running_stripe_server() as server:
        yield server


@pytest.fixture
def webhook_receiver(stripe_server: StripeServer) -> Iterator[WebhookReceiver]:
    """Where the stand-in of this test sends its events."""
    with running_receiver() as receiver:
        stripe_server.set_webhook_url(receiver.url)
        yield receiver


@pytest.fixture
async def stripe_client(stripe_server: StripeServer) -> AsyncIterator[Any]:
    """The official SDK's client of this test's stand-in, on this test's loop; calls end in `_async`."""
    stripe = pytest.importorskip("stripe")
    http = stripe.HTTPXClient()
    yield stripe.StripeClient(
        stripe_server.secret_key, http_client=http, base_addresses={"api": stripe_server.base_url}
    )
    await http.close_async()

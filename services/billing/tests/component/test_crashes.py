"""Billing killed between storing a webhook and publishing, and a Stripe that cannot reach us."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from billing_process import process

SETTLED = "billing.payment-settled.v1"


class Gate:
    """A way to Stripe that can be shut: connections are taken, and nothing comes back."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._open = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.held = asyncio.Event()
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Gate"]:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()

    def open(self) -> None:
        self._open.set()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        if not self._open.is_set():
            self.held.set()
        await self._open.wait()
        there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
        await asyncio.gather(_copy(reader, back), _copy(there, writer))


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(65536):
            target.write(chunk)
            await target.drain()
        target.close()


async def test_a_kill_between_storing_a_webhook_and_publishing_loses_and_doubles_nothing(ground):
    async with ground.serving() as billing:
        account = await billing.known_account()
        session_id = await billing.opened(account, "credits_10")
    stripe = ground.stripe
    async with Gate(stripe.base_url).running() as gate:
        async with process(ground.settings, stripe_url=gate.url) as (child, url):
            stripe.set_webhook_url(f"{url}/billing/webhooks/stripe")
            stripe.control(f"/sandbox/checkout/{session_id}/pay")
            await asyncio.wait_for(gate.held.wait(), 20)
            await billing.eventually(lambda: stored(billing, session_id), ["pending"])
            child.send_signal(signal.SIGKILL)
            await child.wait()
        assert await settled(billing, account) == 0

        async with process(ground.settings, stripe_url=stripe.base_url) as (_, url):
            stripe.set_webhook_url(f"{url}/billing/webhooks/stripe")
            await billing.eventually(lambda: settled(billing, account), 1)
            await billing.rest()

    assert await settled(billing, account) == 1
    assert await stored(billing, session_id) == ["applied"]


async def stored(billing, session_id: str) -> list[str]:
    rows = await billing.rows(
        "SELECT state FROM webhook_event WHERE type = 'checkout.session.completed' AND object_id = :id", id=session_id
    )
    return [row.state for row in rows]


async def settled(billing, account) -> int:
    # A kill after Kafka's answer sends a record again; consumers know it by its id.
    return len({event["id"] for event in await billing.events(SETTLED, account.id)})


async def test_polling_finds_what_no_webhook_brought(ground):
    async with ground.serving(stripe_poll_s=0.3) as billing:
        account = await billing.known_account()
        session_id = await billing.opened(account, "credits_10")
        ground.stripe.control("/sandbox/webhooks", {"url": ""})
        ground.stripe.control(f"/sandbox/checkout/{session_id}/pay")

        await billing.eventually(lambda: settled(billing, account), 1)
        await asyncio.sleep(1)

    assert await settled(billing, account) == 1
    assert await stored(billing, session_id) == ["applied"]


async def test_stripe_away_while_a_webhook_waits_loses_nothing(ground):
    async with ground.serving() as billing:
        account = await billing.known_account()
        session_id = await billing.opened(account, "credits_10")
    async with ground.serving(stripe_api_url="http://127.0.0.1:9") as billing:
        ground.stripe.control(f"/sandbox/checkout/{session_id}/pay")
        await billing.eventually(
            lambda: billing.count("webhook_event", "state = 'pending' AND reason LIKE 'stripe_unavailable%'"), 1
        )
    async with ground.serving() as billing:
        await billing.eventually(lambda: settled(billing, account), 1)

"""Events on their way to the webhook address: signed, tried again until a 2xx, in no promised order."""

import asyncio
import hashlib
import hmac
import json
import logging
import random
from dataclasses import replace

import httpx2

from kit.clock import Clock, SystemClock
from sandbox.stripe.deliveries import Deliveries, Delivery
from sandbox.stripe.objects.meter_errors import THIN, notification_of
from sandbox.stripe.settings import Settings
from sandbox.stripe.store import Store
from sandbox.stripe.switches import Switches
from sandbox.stripe.work import visible

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 64
SHUFFLE_OVER_S = 0.5
AGENT = "Faregate-Sandbox-Stripe/1.0"


def signature_header(payload: bytes, *, secret: str, signed_at: int) -> str:
    """Stripe's `t=…,v1=…` over the bytes that are sent."""
    digest = hmac.new(secret.encode(), f"{signed_at}.".encode() + payload, hashlib.sha256)
    return f"t={signed_at},v1={digest.hexdigest()}"


class Courier:
    """Delivers what is pending in the store; what is not delivered when the process ends is still pending after.

    It lives by the receivers' clock, as they hold a signature's age against theirs; the stand-in's own may stand
    still or run ahead.
    """

    def __init__(self, store: Store, *, settings: Settings, clock: Clock | None = None) -> None:
        self._store = store
        self._deliveries = Deliveries(store.connection)
        self._switches = Switches(store)
        self._settings = settings
        self._clock = clock or SystemClock()
        self._woken = asyncio.Event()
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        async with httpx2.AsyncClient(timeout=self._settings.delivery_timeout_s, follow_redirects=False) as http:
            try:
                while True:
                    await self._round(http)
            finally:
                await self._drop_under_way()

    async def _round(self, http: httpx2.AsyncClient) -> None:
        self._woken.clear()
        wait_s: float | None = None
        if self._switches.webhook_url and not self._switches.paused:
            self._start_due(http)
            wait_s = self._until_next_s()
        try:
            await asyncio.wait_for(self._woken.wait(), wait_s)
        except TimeoutError:
            return

    def _start_due(self, http: httpx2.AsyncClient) -> None:
        free = MOST_AT_ONCE - len(self._under_way)
        due = self._deliveries.list_due(self._now(), limit=MOST_AT_ONCE) if free else []
        waiting = [delivery for delivery in due if delivery.id not in self._under_way]
        for delivery in waiting[:free]:
            self._under_way[delivery.id] = asyncio.create_task(self._deliver(http, delivery))

    def _until_next_s(self) -> float | None:
        """Those under way wake the loop when they end, so only deliveries still resting set an alarm."""
        due_at = self._deliveries.find_next_due_at(after=self._now())
        return None if due_at is None else max(due_at - self._now(), 0.01)

    def _now(self) -> float:
        return self._clock.now().timestamp()

    async def _deliver(self, http: httpx2.AsyncClient, delivery: Delivery) -> None:
        try:
            if self._switches.shuffled and delivery.tries == 0:
                await asyncio.sleep(random.uniform(0, SHUFFLE_OVER_S))  # noqa: S311 - disorder, not secrecy
            status, problem = await self._send(http, delivery)
            self._record(delivery, status=status, problem=problem)
        finally:
            self._under_way.pop(delivery.id, None)
            self.wake()

    async def _send(self, http: httpx2.AsyncClient, delivery: Delivery) -> tuple[int | None, str | None]:
        url = self._switches.webhook_url
        if url is None:
            return None, "no webhook address"
        payload = self._payload(delivery)
        signature = signature_header(payload, secret=self._settings.webhook_secret, signed_at=int(self._now()))
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature,
            "User-Agent": AGENT,
        }
        try:
            response = await http.post(url, content=payload, headers=headers)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return None, type(error).__name__
        return response.status_code, None if response.is_success else f"HTTP {response.status_code}"

    def _payload(self, delivery: Delivery) -> bytes:
        thin = self._store.find(THIN, delivery.event_id)
        if thin is not None:
            return json.dumps(notification_of(thin), indent=2).encode()
        event = self._store.find("event", delivery.event_id)
        if event is None:
            raise LookupError(f"delivery {delivery.id} has no event")
        waiting = self._deliveries.count_pending(event["id"])
        return json.dumps({**visible(event), "pending_webhooks": waiting}, indent=2).encode()

    def _record(self, delivery: Delivery, *, status: int | None, problem: str | None) -> None:
        delays = self._settings.retry_delays_s
        tries = delivery.tries + 1
        done = replace(delivery, tries=tries, status=status, problem=problem)
        if problem is None:
            done = replace(done, state="delivered")
            self._mark_arrived(delivery.event_id)
        elif tries > len(delays):
            done = replace(done, state="failed")
            logger.warning("webhook.given_up event=%s tries=%s problem=%s", delivery.event_id, tries, problem)
        else:
            done = replace(done, due_at=self._now() + delays[tries - 1])
        self._deliveries.save(done)
        self._store.commit()

    def _mark_arrived(self, event_id: str) -> None:
        event = self._store.find("event", event_id) or self._store.find(THIN, event_id)
        if event is not None:
            self._store.save({**event, "_delivered": True})

    async def _drop_under_way(self) -> None:
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

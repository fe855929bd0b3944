"""Stripe's webhooks at a steady rate, each several times and in no order: how soon they are answered, what they do."""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
import httpx2
import psutil

from sandbox.bench.figures import Figure, quantile
from sandbox.bench.pinning import GATEWAY_CORE, OTHERS_CORE, cpu_s, pin
from sandbox.bench.product import Measured, Say
from sandbox.bench.webhook_history import StandIn, differences, make_history
from sandbox.stack.roles import role_of
from sandbox.stripe.webhooks import signature_header

PATH: Final = "/billing/webhooks/stripe"
PER_S: Final = 200
SENDERS: Final = 32
COPIES: Final = 3
SEED: Final = 7
MUST_MS: Final = 100.0
WAIT_S: Final = 120.0
SHOWN: Final = 10
OTHERS: Final = ("ledger", "notifier")
"""Who hears of payments would take the core of PostgreSQL and of Stripe's stand-in."""


async def webhook_figures(measured: Measured, say: Say) -> list[Figure]:
    """Sent to billing itself, which has a core of its own; what it tells waits in Kafka until all is measured."""
    billing = psutil.Process(measured.supervisor.pid_of("billing"))
    database = await asyncpg.connect(measured.stack.admin_url, database=role_of("billing"))
    pin(billing.pid, GATEWAY_CORE)
    try:
        async with StandIn(measured) as stripe:
            say("webhooks: buying, renewing and giving back while nothing is delivered")
            await make_history(measured, stripe)
            figures = await _delivery_figures(measured, _deliveries(await stripe.listed("events")), database, say=say)
            rows, differing = await differences(stripe, database)
    finally:
        pin(billing.pid, OTHERS_CORE)
        await database.close()
    for one in differing[:SHOWN]:
        say(f"webhooks: {one}")
    unlike = Figure("webhooks: rows unlike Stripe's", len(differing), "", f"{rows} compared", None, "0", not differing)
    return [*figures, unlike]


async def _delivery_figures(
    measured: Measured, deliveries: Sequence[bytes], database: asyncpg.Connection, *, say: Say
) -> list[Figure]:
    say(f"webhooks: {len(deliveries)} deliveries at {PER_S}/s")
    billing = psutil.Process(measured.supervisor.pid_of("billing"))
    used = cpu_s([billing])
    with measured.standing_still(*OTHERS):
        delivered = await _deliver(measured, deliveries)
        used_ms = 1000 * (cpu_s([billing]) - used) / len(deliveries)
        applied_s = await _applied(database)
    tail, answer = quantile(delivered.due_s, 0.99) * 1000, quantile(delivered.sent_s, 0.99) * 1000
    name = f"webhooks: answered, {PER_S}/s, {COPIES} of each, shuffled"
    return [
        Figure(f"{name}, p50", quantile(delivered.due_s, 0.5) * 1000, "ms", ""),
        Figure(f"{name}, p99", tail, "ms", f"{MUST_MS:.0f} ms", tail / MUST_MS, f"< {MUST_MS:.0f} ms", tail < MUST_MS),
        Figure("webhooks: the same from the moment of sending, p99", answer, "ms", ""),
        Figure("webhooks: deliveries per second", len(deliveries) / delivered.all_s, "/s", f"{PER_S}/s"),
        Figure("webhooks: CPU of billing per delivery", used_ms, "ms", "reads and applies meanwhile"),
        Figure("webhooks: all applied after the last answer", applied_s, "s", ""),
    ]


def _deliveries(events: Sequence[dict[str, Any]]) -> list[bytes]:
    """Every event several times; the oldest may come last, copies at the same moment."""
    payloads = [json.dumps(event, indent=2).encode() for event in events for _ in range(COPIES)]
    random.Random(SEED).shuffle(payloads)  # noqa: S311  # disorder, not secrecy
    return payloads


@dataclass(slots=True)
class Delivered:
    """Seconds from when each delivery was due, and from when it was sent, to its answer."""

    due_s: list[float] = field(default_factory=list)
    sent_s: list[float] = field(default_factory=list)
    all_s: float = 0.0


async def _deliver(measured: Measured, payloads: Sequence[bytes]) -> Delivered:
    """At a steady rate: whoever sends late has waited since the delivery was due."""
    secret = measured.credentials.stripe_webhook_secret
    delivered, waiting, began = Delivered(), iter(enumerate(payloads)), time.perf_counter()

    async def send(http: httpx2.AsyncClient) -> None:
        for number, payload in waiting:
            due = began + number / PER_S
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            signature = signature_header(payload, secret=secret, signed_at=int(time.time()))
            sent = time.perf_counter()
            answer = await http.post(PATH, content=payload, headers={"stripe-signature": signature})
            answer.raise_for_status()
            delivered.due_s.append(time.perf_counter() - due)
            delivered.sent_s.append(time.perf_counter() - sent)

    url = measured.addresses.url("billing")
    async with (
        httpx2.AsyncClient(base_url=url, trust_env=False, timeout=30) as http,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(SENDERS):
            group.create_task(send(http))
    delivered.all_s = time.perf_counter() - began
    return delivered


async def _applied(database: asyncpg.Connection) -> float:
    """Seconds until nothing waits to be applied."""
    began = time.perf_counter()
    async with asyncio.timeout(WAIT_S):
        while await database.fetchval("SELECT count(*) FROM webhook_event WHERE state = 'pending'"):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return time.perf_counter() - began

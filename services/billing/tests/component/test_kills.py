"""Billing killed with -9 in the middle of what customers do, again and again: all of it is taken and granted once."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from billing_process import Forks, forks
from ledger_stand_in import kept_books
from pydantic import SecretStr

from billing.settings import BillingSettings
from contracts.event import decode
from contracts.topics import EVENTS

pytestmark = pytest.mark.long

SETTLED = "billing.payment-settled.v1"
CREDIT = 10**9
SEED = 20
LATEST_S = 1.2
"""Long enough for the slowest of the flows: what is due is looked for every half second."""

RULED = """
UPDATE account_settings SET top_up_below_nano = 5000000000, top_up_amount_minor = 2000, top_up_day_minor = 2500,
    top_up_month_minor = 2500, top_up_look_at = now()
WHERE account_id = :id
"""
OWED = """
INSERT INTO owed_use (account_id, plan_id, plan_version, hour, sequence, amount_nano)
VALUES (:id, 'used', 1, date_trunc('hour', now()), 1, 25000000000)
"""
LOOKED_AT = "UPDATE account_settings SET use_look_at = now() WHERE account_id = :id"


@dataclass
class Round:
    """One account for each flow, all of which are under way when billing is killed."""

    payer: Any
    session_id: str
    upgrader: Any
    topper: Any
    user: Any
    key: str = field(default_factory=lambda: uuid4().hex)


async def test_kills_at_random_points_of_each_flow_take_and_grant_everything_once(ground):
    await kill_again_and_again(ground, kills=3)


@pytest.mark.proof
@pytest.mark.timeout(600)
async def test_twenty_kills_at_random_points_of_each_flow_take_and_grant_everything_once(ground):
    await kill_again_and_again(ground, kills=20)


async def kill_again_and_again(ground, *, kills: int) -> None:
    points = random.Random(SEED)
    async with kept_books(ground.signer) as books, forks() as billings:
        changed = {
            "catalogue": Path(__file__).parents[1] / "shop.toml",
            "auth_url": books.url,
            "ledger_url": books.url,
            "service_secret": SecretStr("a-secret"),
        }
        settings = ground.settings.model_copy(update=changed)
        async with ground.serving(**changed) as billing:
            rounds = await prepared(billing, kills)
        for one in rounds:
            books.set(one.topper.id, 0)
            after_s = points.uniform(0, LATEST_S)
            async with alive(ground, billings, settings) as (pid, http):
                await killed_in_the_middle(ground, billing, one, http=http, pid=pid, after_s=after_s)
        async with alive(ground, billings, settings, poll_s=0.5) as (_, http):
            await healed(billing, http, rounds)
    heard = await told(billing)
    for one in rounds:
        for account, amounts in (
            (one.payer, [1000]),
            (one.topper, [2500]),
            (one.user, [2500]),
        ):
            assert await booked(billing, account) == taken(ground, await customer(billing, account)) == amounts
            assert heard[account.id] == 1
        upgraded = await booked(billing, one.upgrader)
        assert upgraded == taken(ground, await customer(billing, one.upgrader))
        assert len(upgraded) == heard[one.upgrader.id] == 2


async def prepared(billing, kills: int) -> list[Round]:
    """Buyers of a small plan, cards on file, one who pays per use, and a page that waits to be paid."""
    rounds = []
    for _ in range(kills):
        payer, upgrader, topper, user = [await billing.known_account() for _ in range(4)]
        waiting = (await billing.checkout(payer, "top_up", amount="10")).json()["session_id"]
        rounds.append(Round(payer, waiting, upgrader, topper, user))
        paid = [(await billing.checkout(upgrader, "small")).json()["session_id"]]
        for account in (topper, user):
            headers = account.headers | {"idempotency-key": uuid4().hex}
            answer = await billing.http.post("/billing/checkout", json={"mode": "setup"}, headers=headers)
            paid.append(answer.json()["session_id"])
        for session_id in paid:
            billing.stripe.control(f"/sandbox/checkout/{session_id}/pay")
    await billing.rest()
    for one in rounds:
        headers = one.user.headers | {"idempotency-key": uuid4().hex}
        answer = await billing.http.post("/billing/pay-per-use", json={"plan": "used"}, headers=headers)
        assert answer.status_code == 201, answer.text
    await billing.rest()
    return rounds


@asynccontextmanager
async def alive(
    ground, billings: Forks, settings: BillingSettings, *, poll_s: float = 0
) -> AsyncIterator[tuple[int, httpx2.AsyncClient]]:
    async with (
        billings.process(settings, stripe_url=ground.stripe.base_url, poll_s=poll_s) as (pid, url),
        httpx2.AsyncClient(base_url=url, timeout=30) as http,
    ):
        ground.stripe.set_webhook_url(f"{url}/billing/webhooks/stripe")
        yield pid, http


async def killed_in_the_middle(
    ground, billing, one: Round, *, http: httpx2.AsyncClient, pid: int, after_s: float
) -> None:
    asked = [asyncio.create_task(answered(http, one, *request)) for request in requests()]
    ground.stripe.control(f"/sandbox/checkout/{one.session_id}/pay")
    await billing.rows_changed(RULED, id=one.topper.id)
    await billing.rows_changed(OWED, id=one.user.id)
    await billing.rows_changed(LOOKED_AT, id=one.user.id)
    await asyncio.sleep(after_s)
    os.kill(pid, signal.SIGKILL)
    await asyncio.gather(*asked)


def requests() -> list[tuple[str, dict]]:
    return [("/billing/subscription/change", {"plan": "large"}), ("/billing/portal", {})]


async def answered(http, one: Round, path: str, body: dict) -> httpx2.Response | None:
    with suppress(httpx2.HTTPError):
        return await http.post(path, json=body, headers=one.upgrader.headers | {"idempotency-key": one.key})
    return None


async def healed(billing, http, rounds: list[Round]) -> None:
    """Customers ask again with the same key; what waits for time to pass gets it now."""
    await billing.rows_changed("UPDATE lease SET held_until = now()")
    await billing.rows_changed("UPDATE charge_attempt SET next_try_at = now() WHERE state = 'open'")
    for one in rounds:
        for path, body in requests():
            answer = await answered(http, one, path, body)
            assert answer is not None
            assert answer.status_code == 200, answer.text
    wanted = Counter[UUID]()
    for one in rounds:
        wanted += Counter({one.payer.id: 1, one.topper.id: 1, one.user.id: 1, one.upgrader.id: 2})

    async def missing() -> dict[UUID, int]:
        return dict(wanted - await told(billing))

    await billing.eventually(missing, {})
    await billing.eventually(lambda: billing.count("webhook_event", "state = 'pending'"), 0)


async def booked(billing, account) -> list[int]:
    rows = await billing.rows(
        "SELECT amount_minor FROM payment WHERE account_id = :id AND status = 'settled' ORDER BY amount_minor",
        id=account.id,
    )
    return [row.amount_minor for row in rows]


async def customer(billing, account) -> str:
    (row,) = await billing.rows("SELECT id FROM stripe_customer WHERE account_id = :id", id=account.id)
    return row.id


def taken(ground, customer_id: str) -> list[int]:
    answer = httpx2.get(
        f"{ground.stripe.base_url}/v1/payment_intents",
        params={"customer": customer_id, "limit": 100},
        auth=(ground.stripe.secret_key, ""),
    )
    found = answer.raise_for_status().json()["data"]
    return sorted(one["amount_received"] for one in found if one["status"] == "succeeded")


async def told(billing) -> Counter[UUID]:
    """How many payments of each account the other services hear of: the topic is read once for all of them."""
    # A kill after Kafka's answer sends a record again; consumers know it by its id.
    events = {
        envelope.event.id: envelope.event.account_id
        for _, value in await billing.records(SETTLED)
        if value is not None
        for envelope in (decode(value, EVENTS),)
    }
    return Counter(events.values())

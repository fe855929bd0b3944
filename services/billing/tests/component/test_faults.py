"""Stripe failing at every call of a checkout and of what a paid one sets off: charged once, granted once."""

from contextlib import suppress
from uuid import uuid4

import httpx2
import pytest
from faults import FAULTS, FaultyTransport, FaultyWay, on_call
from sqlalchemy import text

from billing.adapters.catalogue_file import load_catalogue
from billing.adapters.stripe_api import StripeApi
from billing.domain.states import StripeEvent
from billing.entrypoints.poller import Sweeper
from billing.entrypoints.webhook_worker import WebhookWorker
from billing.service.accounts import keep_account
from billing.service.catalogue import publish_catalogue
from billing.service.checkout import CheckoutDesk, Order
from billing.service.inbox import store_events
from billing.service.paths import Paths
from billing.settings import SHIPPED_CATALOGUE
from contracts.auth import AccountCreated
from kit.clock import SystemClock
from kit.database import Database
from kit.errors import UnavailableError
from sandbox.fixtures_stripe import running_stripe_server

CALLS_OF_A_CHECKOUT = 5
CALLS_OF_A_PAYMENT = 1


@pytest.fixture
async def database(migrated_url):
    own = Database(await migrated_url(), source="billing")
    async with own.transaction() as session:
        await publish_catalogue(session, load_catalogue(SHIPPED_CATALOGUE), now=SystemClock().now())
    yield own
    await own.close()


@pytest.fixture
def server():
    with running_stripe_server() as running:
        yield running


async def new_account(database):
    account_id, now = uuid4(), SystemClock().now()
    created = AccountCreated(id=uuid4(), time=now, account_id=account_id, kind="personal", owner_user_id=uuid4())
    async with database.transaction() as session:
        await keep_account(session, created)
    return account_id


def order(account_id, key):
    return Order(
        account_id=account_id,
        offer_id="credits_10",
        idempotency_key=key,
        success_url="https://example.com/",
        cancel_url="https://example.com/",
        body={"offer": "credits_10"},
    )


def stripe_of(server, transport=None):
    http = FaultyWay(transport) if transport else None
    return StripeApi(server.secret_key, api_url=server.base_url, http=http, retries=0)


def desk(database, server, transport=None):
    stripe = stripe_of(server, transport)
    clock = SystemClock()
    return CheckoutDesk(database, stripe, paths=Paths(frozenset({"checkout"}), clock), clock=clock)


def listed(server, path):
    answer = httpx2.get(f"{server.base_url}{path}", params={"limit": 100}, auth=(server.secret_key, ""))
    return answer.json()["data"]


async def outbox(database, account_id):
    async with database.reading() as session:
        found = await session.execute(text("SELECT topic FROM outbox ORDER BY id"))
        settled = text("SELECT count(*) FROM payment WHERE account_id = :id AND status = 'settled'")
        payments = await session.scalar(settled, {"id": account_id})
        return [row.topic for row in found if row.topic == "billing.payment-settled.v1"], payments


async def paid(database, server):
    """An account whose bundle Stripe has been paid for, and the event that says so."""
    account_id = await new_account(database)
    opened = await desk(database, server).open(order(account_id, "k"))
    server.control(f"/sandbox/checkout/{opened.session_id}/pay")
    now = SystemClock().now()
    kind = "checkout.session.completed"
    return account_id, StripeEvent(f"evt_{uuid4().hex}", kind, opened.session_id, opened.session_id, now)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_at_any_call_of_a_checkout_leaves_one_session_for_the_order(database, fault):
    struck = set()
    for number in range(CALLS_OF_A_CHECKOUT):
        account_id, key = await new_account(database), uuid4().hex
        async with database.transaction() as session:
            await session.execute(text("DELETE FROM stripe_price"))
        transport = FaultyTransport(fault, on_call(number))
        with running_stripe_server() as server:
            with suppress(UnavailableError):
                await desk(database, server, transport).open(order(account_id, key))
            healed = desk(database, server)
            opened, again = [await healed.open(order(account_id, key)) for _ in range(2)]
            kinds = ("/v1/checkout/sessions", "/v1/customers", "/v1/products", "/v1/prices")
            made = {kind: len(listed(server, kind)) for kind in kinds}

        struck |= set(transport.struck)
        assert opened == again
        assert made == dict.fromkeys(kinds, 1), (number, transport.struck)
    assert len(struck) == CALLS_OF_A_CHECKOUT


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_at_any_call_after_a_payment_grants_it_once(database, server, fault):
    for number in range(CALLS_OF_A_PAYMENT):
        account_id, event = await paid(database, server)
        before, _ = await outbox(database, account_id)
        transport = FaultyTransport(fault, on_call(number))
        for way in (transport, None, None):
            worker = worker_for(database, server, way)
            again = StripeEvent(f"evt_{uuid4().hex}", event.type, event.object_id, event.lease_key, event.created_at)
            async with database.transaction() as session:
                await store_events(session, [event, again], source="webhook", now=SystemClock().now())
            await worker.apply_due()

        told, settled = await outbox(database, account_id)
        assert len(transport.struck) == 1
        assert (len(told) - len(before), settled) == (1, 1), (number, transport.struck)


async def test_nothing_is_granted_while_stripe_does_not_say_that_it_is_paid(database, server):
    account_id = await new_account(database)
    opened = await desk(database, server).open(order(account_id, "k"))
    server.control(f"/sandbox/checkout/{opened.session_id}/pay", {"card": "async"})
    now, worker = SystemClock().now(), worker_for(database, server)
    claim = StripeEvent("evt_claim", "checkout.session.completed", opened.session_id, opened.session_id, now)
    async with database.transaction() as session:
        await store_events(session, [claim], source="webhook", now=now)

    await worker.apply_due()

    assert await outbox(database, account_id) == ([], 0)


def worker_for(database, server, transport=None):
    return WebhookWorker(database, stripe_of(server, transport), clock=SystemClock())


async def test_what_stripe_could_not_deliver_is_found_within_its_thirty_days(database, server):
    server.control("/sandbox/webhooks", {"url": "http://127.0.0.1:9/", "paused": True})
    account_id, _ = await paid(database, server)
    sweeper = Sweeper(database, stripe_of(server), clock=SystemClock(), wake=lambda: None)

    found, again = await sweeper.sweep(undelivered=True), await sweeper.sweep(undelivered=True)
    await worker_for(database, server).apply_due()

    assert (found > 0, again) == (True, 0)
    assert (await outbox(database, account_id))[1] == 1

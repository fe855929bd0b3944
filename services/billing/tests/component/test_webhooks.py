"""Webhooks that are duplicated, shuffled, replayed, forged or poisonous."""

import json
from uuid import uuid4

import pytest
import stripe

from billing.adapters.stripe_api import NewSession, StripeApi
from billing.domain.offers import Purchase
from billing.repository import catalogue

SETTLED = "billing.payment-settled.v1"
SUBSCRIBED = "billing.subscription-changed.v1"


async def test_duplicated_and_shuffled_webhooks_end_in_the_same_books(billing, account):
    billing.stripe.control("/sandbox/webhooks", {"duplicate": 3, "shuffle": True})

    session = await billing.bought(account, "starter")
    bundle = await billing.bought(account, "credits_25")

    settled = await billing.events(SETTLED, account.id)
    changes = await billing.events(SUBSCRIBED, account.id)
    assert sorted(event["grant_amount"] for event in settled) == ["20000000000", "25000000000"]
    assert {event["payment_id"] for event in settled} >= {bundle["payment_intent"]}
    assert [change["version"] for change in sorted(changes, key=lambda one: one["version"])] == list(
        range(1, len(changes) + 1)
    )
    assert changes[-1]["status"] == "active"
    assert changes[-1]["subscription_id"] == session["subscription"]


async def test_a_replayed_webhook_changes_nothing(billing, account):
    session = await billing.bought(account, "credits_10")
    (row,) = await billing.rows(
        "SELECT id FROM webhook_event WHERE type = 'checkout.session.completed' AND object_id = :id", id=session["id"]
    )

    billing.stripe.control(f"/sandbox/events/{row.id}/redeliver")
    await billing.rest()

    assert len(await billing.events(SETTLED, account.id)) == 1


async def test_an_old_event_under_a_new_id_changes_nothing(billing, account):
    session = await billing.bought(account, "credits_10")

    answer = await post(billing, event_about(session, "checkout.session.completed"))
    await billing.rest()

    assert answer.status_code == 200
    assert len(await billing.events(SETTLED, account.id)) == 1


async def test_a_signed_event_that_claims_a_payment_settles_nothing(billing, account):
    session_id = await billing.opened(account, "credits_10")
    claim = {"id": session_id, "object": "checkout.session", "payment_status": "paid", "status": "complete"}

    await post(billing, event_about(claim, "checkout.session.completed"))
    await billing.rest()

    assert await billing.events(SETTLED, account.id) == []


@pytest.mark.parametrize(
    "forgery", ["secret", "body", "old", "future", "header", "two times", "bytes", "not json", "no event"]
)
async def test_a_forged_webhook_is_refused_and_not_stored(billing, forgery):
    event = event_about({"id": f"cs_test_{uuid4().hex}", "object": "checkout.session"}, "checkout.session.completed")
    payload = json.dumps(event)
    now = int(billing.clock.now().timestamp())
    header = signed(payload, billing.stripe.webhook_secret, now)
    body = payload.encode()
    match forgery:
        case "secret":
            header = signed(payload, "whsec_another", now)
        case "body":
            body = payload.replace("completed", "expired").encode()
        case "old":
            header = signed(payload, billing.stripe.webhook_secret, now - 400)
        case "future":
            header = signed(payload, billing.stripe.webhook_secret, now + 400)
        case "header":
            header = ""
        case "two times":
            header = signed(payload, billing.stripe.webhook_secret, now - 400) + f",t={now}"
        case "bytes":
            body = b"\xff\xfe"
        case "not json":
            body, header = b"{", signed("{", billing.stripe.webhook_secret, now)
        case "no event":
            body, header = b"[]", signed("[]", billing.stripe.webhook_secret, now)

    answer = await billing.http.post("/billing/webhooks/stripe", content=body, headers={"stripe-signature": header})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_webhook")
    assert await billing.count("webhook_event", "id = :id", id=event["id"]) == 0


async def test_an_oversized_webhook_is_refused(billing):
    answer = await billing.http.post(
        "/billing/webhooks/stripe", content=b" " * (2 << 20), headers={"stripe-signature": "t=1,v1=0"}
    )

    assert answer.status_code == 413


async def test_the_secret_before_a_rotation_still_signs(billing):
    event = event_about({"id": "prod_1", "object": "product"}, "product.created")
    payload = json.dumps(event)
    header = signed(payload, "whsec_the_one_before", int(billing.clock.now().timestamp()))

    answer = await billing.http.post("/billing/webhooks/stripe", content=payload, headers={"stripe-signature": header})

    assert answer.status_code == 200


async def test_an_unknown_type_is_kept_as_ignored(billing):
    event = event_about({"id": "xyz_1", "object": "novelty"}, "novelty.invented")

    answer = await post(billing, event)

    assert answer.status_code == 200
    assert [row.state for row in await state_of(billing, event["id"])] == ["ignored"]


@pytest.mark.parametrize("forged", ["account", "offer", "reference"])
async def test_forged_metadata_grants_nothing_and_is_parked(billing, account, forged):
    victim = await billing.new_account()
    await billing.opened(account, "credits_10")
    await billing.opened(account, "credits_25")
    session_id = await open_forged(billing, account, victim, forged)

    billing.stripe.control(f"/sandbox/checkout/{session_id}/pay")
    await billing.rest()

    assert await billing.events(SETTLED, account.id) == []
    assert await billing.events(SETTLED, victim.id) == []
    (row,) = await billing.rows(
        "SELECT state, reason FROM webhook_event WHERE type = 'checkout.session.completed' AND object_id = :id",
        id=session_id,
    )
    assert row.state == "failed"
    assert row.reason.startswith("payment_refused")


async def test_a_strangers_session_in_the_same_stripe_account_is_ignored(billing):
    client = sdk(billing)
    customer = await client.v1.customers.create_async(params={})
    session = await client.v1.checkout.sessions.create_async(
        params={
            "mode": "payment",
            "customer": customer.id,
            "success_url": "https://shop.example/",
            "line_items": [
                {
                    "price_data": {"currency": "usd", "unit_amount": 1000, "product_data": {"name": "Socks"}},
                    "quantity": 1,
                }
            ],
        }
    )

    billing.stripe.control(f"/sandbox/checkout/{session.id}/pay")
    await billing.rest()

    (row,) = await billing.rows(
        "SELECT state FROM webhook_event WHERE type = 'checkout.session.completed' AND object_id = :id", id=session.id
    )
    assert row.state == "ignored"


async def test_a_fee_that_comes_late_is_waited_for(billing, account):
    billing.stripe.control("/sandbox/webhooks", {"late_fees": True})
    session_id = await billing.opened(account, "credits_10")
    session = billing.stripe.control(f"/sandbox/checkout/{session_id}/pay")
    await billing.eventually(lambda: billing.count("webhook_event", "reason LIKE 'fee_not_known%'"), 1)
    assert await billing.events(SETTLED, account.id) == []
    intent = await sdk(billing).v1.payment_intents.retrieve_async(session["payment_intent"])

    billing.stripe.control(f"/sandbox/charges/{intent.latest_charge}/settle")
    await billing.rest()

    (event,) = await billing.events(SETTLED, account.id)
    assert event["fee_minor"] == "59"


async def open_forged(billing, account, victim, forged: str) -> str:
    """A session that someone with the Stripe key, but not us, could have made."""
    api = StripeApi(billing.settings.stripe_secret_key.get_secret_value(), api_url=billing.stripe.base_url)
    async with billing.database.reading() as session:
        (customer,) = (await billing.rows("SELECT id FROM stripe_customer WHERE account_id = :id", id=account.id))[0]
        terms = await catalogue.find_terms(session, "credits_10", 1)
        dear = await catalogue.find_terms(session, "credits_25", 1)
        assert terms is not None
        assert dear is not None
        price_id = await catalogue.find_price(session, terms, "usd")
        assert price_id is not None
    wanted = NewSession(
        key=uuid4().hex,
        account_id=victim.id if forged == "account" else account.id,
        customer=customer,
        purchase=Purchase(dear if forged == "offer" else terms, "usd"),
        price_id=price_id,
        success_url="https://example.com/",
        cancel_url="https://example.com/",
    )
    if forged != "reference":
        return (await api.create_session(wanted)).id
    made = await sdk(billing).v1.checkout.sessions.create_async(
        params={
            "mode": "payment",
            "customer": customer,
            "client_reference_id": str(victim.id),
            "metadata": wanted.metadata,
            "line_items": [{"price": price_id, "quantity": 1}],
            "success_url": "https://example.com/",
        }
    )
    return made.id


def sdk(billing) -> stripe.StripeClient:
    return stripe.StripeClient(
        billing.settings.stripe_secret_key.get_secret_value(),
        http_client=stripe.HTTPXClient(),
        base_addresses={"api": billing.stripe.base_url},
    )


def event_about(body: dict, kind: str) -> dict:
    return {
        "id": f"evt_{uuid4().hex}",
        "object": "event",
        "created": 1_790_000_000,
        "type": kind,
        "data": {"object": body},
    }


def signed(payload: str, secret: str, timestamp: int) -> str:
    return stripe.WebhookSignature.generate_signature_header(payload, secret, timestamp)


async def post(billing, event: dict):
    payload = json.dumps(event)
    header = signed(payload, billing.stripe.webhook_secret, int(billing.clock.now().timestamp()))
    return await billing.http.post("/billing/webhooks/stripe", content=payload, headers={"stripe-signature": header})


async def state_of(billing, event_id: str):
    return await billing.rows("SELECT state FROM webhook_event WHERE id = :id", id=event_id)

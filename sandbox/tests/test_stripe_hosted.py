"""Pages and documents that Stripe hosts: portal, invoice, PDF, the bank's question; and what time brings by itself."""

import httpx2
import pytest
import stripe

from kit.clock import ManualClock
from sandbox.fixtures_stripe import SECRET_KEY, running_stripe_server

pytest_plugins = ["sandbox.fixtures_stripe"]


async def subscribed(v1, *, card="pm_card_visa"):
    customer = await v1.customers.create_async(
        {"payment_method": card, "invoice_settings": {"default_payment_method": card}}
    )
    price = await v1.prices.create_async(
        {"currency": "usd", "unit_amount": 2900, "recurring": {"interval": "month"}, "product_data": {"name": "Pro"}}
    )
    return await v1.subscriptions.create_async({"customer": customer.id, "items": [{"price": price.id}]})


async def test_the_portal_cancels_and_keeps_a_subscription(stripe_client):
    v1 = stripe_client.v1
    subscription = await subscribed(v1)
    await v1.billing_portal.configurations.create_async(
        {"features": {"invoice_history": {"enabled": True}, "subscription_cancel": {"enabled": True}}}
    )
    portal = await v1.billing_portal.sessions.create_async({"customer": subscription.customer})

    shown = httpx2.get(portal.url)
    httpx2.post(portal.url, data={"subscription": subscription.id, "action": "cancel"})
    ending = await v1.subscriptions.retrieve_async(subscription.id)
    httpx2.post(portal.url, data={"subscription": subscription.id, "action": "resume"})
    kept = await v1.subscriptions.retrieve_async(subscription.id)

    assert "$29.00 paid" in shown.text
    assert (ending.cancel_at_period_end, kept.cancel_at_period_end) == (True, False)


async def test_the_portal_shows_nobody_elses_subscription(stripe_client):
    v1 = stripe_client.v1
    mine, theirs = await subscribed(v1), await subscribed(v1)
    await v1.billing_portal.configurations.create_async({"features": {"subscription_cancel": {"enabled": True}}})
    portal = await v1.billing_portal.sessions.create_async({"customer": mine.customer})

    answer = httpx2.post(portal.url, data={"subscription": theirs.id, "action": "cancel"})

    assert answer.status_code == 404
    assert not (await v1.subscriptions.retrieve_async(theirs.id)).cancel_at_period_end


async def test_an_invoice_has_a_page_and_a_pdf(stripe_client):
    subscription = await subscribed(stripe_client.v1)
    invoice = await stripe_client.v1.invoices.retrieve_async(subscription.latest_invoice)

    page, document = httpx2.get(invoice.hosted_invoice_url), httpx2.get(invoice.invoice_pdf)

    assert "$29.00" in page.text
    assert document.content.startswith(b"%PDF-1.4")
    assert b"$29.00" in document.content


async def test_an_invoice_that_was_declined_is_paid_on_its_page(stripe_client, stripe_server):
    v1 = stripe_client.v1
    subscription = await subscribed(v1)
    stripe_server.control(f"/sandbox/subscriptions/{subscription.id}/renew", {"outcome": "failed"})
    (invoice,) = (await v1.invoices.list_async({"subscription": subscription.id, "status": "open"})).data

    shown = httpx2.get(invoice.hosted_invoice_url)
    paid = httpx2.post(invoice.hosted_invoice_url, follow_redirects=True)

    assert ">Pay</button>" in shown.text
    assert ">Pay</button>" not in paid.text
    assert (await v1.invoices.retrieve_async(invoice.id)).status == "paid"
    assert (await v1.subscriptions.retrieve_async(subscription.id)).status == "active"


@pytest.mark.parametrize(("action", "status"), [("yes", "succeeded"), ("no", "requires_payment_method")])
async def test_the_banks_question_is_answered_on_its_page(stripe_client, action, status):
    intent = await stripe_client.v1.payment_intents.create_async(
        {
            "amount": 900,
            "currency": "usd",
            "payment_method": "pm_card_authenticationRequired",
            "confirm": True,
            "return_url": "https://shop.example/",
        }
    )
    httpx2.post(intent.next_action.redirect_to_url.url, data={"action": action})

    assert (await stripe_client.v1.payment_intents.retrieve_async(intent.id)).status == status


async def test_a_saved_card_that_runs_dry_is_declined_and_pays_again_later(stripe_client, stripe_server):
    v1 = stripe_client.v1
    customer = await v1.customers.create_async({"payment_method": "pm_card_visa"})
    (card,) = (await v1.payment_methods.list_async({"customer": customer.id})).data
    charge = {"amount": 900, "currency": "usd", "customer": customer.id, "payment_method": card.id}
    stripe_server.control(f"/sandbox/payment_methods/{card.id}", {"charge": "insufficient_funds"})

    with pytest.raises(stripe.CardError) as refusal:
        await v1.payment_intents.create_async({**charge, "off_session": True, "confirm": True})
    stripe_server.control(f"/sandbox/payment_methods/{card.id}", {"charge": "succeeded"})
    paid = await v1.payment_intents.confirm_async(refusal.value.error.payment_intent.id, {"payment_method": card.id})

    assert refusal.value.error.decline_code == "insufficient_funds"
    assert paid.status == "succeeded"


async def test_a_declined_try_is_remembered_by_its_key(stripe_client):
    v1 = stripe_client.v1
    charge = {"amount": 900, "currency": "usd", "payment_method": "pm_card_visa_chargeDeclined", "confirm": True}
    intents = set()
    for _ in range(2):
        with pytest.raises(stripe.CardError) as refusal:
            await v1.payment_intents.create_async(charge, {"idempotency_key": "once"})
        intents.add(refusal.value.error.payment_intent.id)

    assert len(intents) == 1
    assert len((await v1.charges.list_async()).data) == 1


async def test_a_transfer_at_checkout_is_paid_when_it_arrives(stripe_client, stripe_server):
    v1 = stripe_client.v1
    items = [{"price_data": {"currency": "usd", "unit_amount": 900, "product_data": {"name": "x"}}, "quantity": 1}]
    session = await v1.checkout.sessions.create_async(
        {"mode": "payment", "success_url": "https://shop.example", "line_items": items}
    )
    pending = stripe_server.control(f"/sandbox/checkout/{session.id}/pay", {"card": "async"})

    stripe_server.control(f"/sandbox/payment_intents/{pending['payment_intent']}/arrive")

    paid = await v1.checkout.sessions.retrieve_async(session.id)
    types = [event.type for event in (await v1.events.list_async({"limit": 100})).data]
    assert (pending["status"], pending["payment_status"], paid.payment_status) == ("complete", "unpaid", "paid")
    assert types.index("checkout.session.async_payment_succeeded") < types.index("checkout.session.completed")


async def test_checkout_saves_a_card_without_taking_money(stripe_client, stripe_server):
    v1 = stripe_client.v1
    customer = await v1.customers.create_async({"email": "a@b.example"})
    session = await v1.checkout.sessions.create_async(
        {"mode": "setup", "currency": "usd", "customer": customer.id, "success_url": "https://shop.example"}
    )

    paid = stripe_server.control(f"/sandbox/checkout/{session.id}/pay")

    setup = await v1.setup_intents.retrieve_async(paid["setup_intent"])
    assert (paid["payment_status"], setup.status) == ("no_payment_required", "succeeded")
    assert len((await v1.charges.list_async()).data) == 0


async def test_four_declined_tries_end_a_subscription(stripe_client, stripe_server):
    v1 = stripe_client.v1
    subscription = await subscribed(v1)
    customer = await v1.customers.retrieve_async(subscription.customer)
    card = customer.invoice_settings.default_payment_method
    stripe_server.control(f"/sandbox/payment_methods/{card}", {"charge": "generic_decline"})
    statuses = []
    for days in (32, 3, 3, 3):
        stripe_server.control("/sandbox/time", {"seconds": days * 24 * 3600})
        statuses.append((await v1.subscriptions.retrieve_async(subscription.id)).status)

    assert statuses == ["past_due", "past_due", "past_due", "canceled"]


def test_what_is_due_happens_by_the_clock_without_anybody_asking():
    clock = ManualClock()
    with running_stripe_server(clock=clock) as server:
        auth = (SECRET_KEY, "")
        form = {
            "mode": "payment",
            "success_url": "https://shop.example",
            "line_items[0][quantity]": 1,
            "line_items[0][price_data][currency]": "usd",
            "line_items[0][price_data][unit_amount]": 900,
            "line_items[0][price_data][product_data][name]": "x",
        }
        session = httpx2.post(f"{server.base_url}/v1/checkout/sessions", data=form, auth=auth).json()["id"]
        clock.advance(24 * 3600)
        server.control("/sandbox/time", {"seconds": 1})

        shown = httpx2.get(f"{server.base_url}/v1/checkout/sessions/{session}", auth=auth).json()

    assert shown["status"] == "expired"


async def test_wrong_usage_is_told_of_by_a_thin_event_that_has_to_be_fetched(
    stripe_client, stripe_server, webhook_receiver
):
    v1 = stripe_client.v1
    meter = await v1.billing.meters.create_async(
        {"display_name": "x", "event_name": "x", "default_aggregation": {"formula": "sum"}}
    )

    await v1.billing.meter_events.create_async(
        {"event_name": "x", "identifier": "ours", "payload": {"stripe_customer_id": "cus_nobody", "value": "1"}}
    )

    received = webhook_receiver.wait_for_types("v1.billing.meter.error_report_triggered")[-1]
    told = stripe_client.parse_event_notification(received.body, received.signature, stripe_server.webhook_secret)
    event = await told.fetch_event_async()
    (kind,) = event.data.reason.error_types
    assert "data" not in received.event
    assert told.related_object.id == meter.id
    assert (kind.code, kind.sample_errors[0].request.identifier) == ("meter_event_customer_not_found", "ours")

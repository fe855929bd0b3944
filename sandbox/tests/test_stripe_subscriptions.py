"""Subscriptions from the first payment to the last, and what becomes of the money: refunds and disputes."""

from datetime import UTC, datetime

import httpx2
import pytest
import stripe

pytest_plugins = ["sandbox.fixtures_stripe"]


@pytest.fixture
async def subscription(stripe_client, stripe_server):
    """Bought just now by a customer, 29 dollars a month."""
    customer = await stripe_client.v1.customers.create_async({"email": "a@b.example"})
    price = await stripe_client.v1.prices.create_async(
        {"currency": "usd", "unit_amount": 2900, "recurring": {"interval": "month"}, "product_data": {"name": "Pro"}}
    )
    session = await stripe_client.v1.checkout.sessions.create_async(
        {
            "mode": "subscription",
            "customer": customer.id,
            "line_items": [{"price": price.id, "quantity": 1}],
            "success_url": "https://shop.example",
            "subscription_data": {"metadata": {"account_id": "1"}},
        }
    )
    stripe_server.control(f"/sandbox/checkout/{session.id}/pay")
    paid = await stripe_client.v1.checkout.sessions.retrieve_async(session.id, {"expand": ["subscription"]})
    return paid.subscription


async def charge_of(client, invoice_id):
    invoice = await client.v1.invoices.retrieve_async(invoice_id, {"expand": ["payments.data.payment.payment_intent"]})
    return await client.v1.charges.retrieve_async(invoice.payments.data[0].payment.payment_intent.latest_charge)


async def types_since(client, event_type):
    """The types of all events since the newest of one type, that one included, oldest first."""
    events = (await client.v1.events.list_async({"limit": 100})).data
    types = [event.type for event in events]
    return types[: types.index(event_type) + 1][::-1]


async def test_a_subscription_keeps_its_period_on_its_item(subscription):
    (item,) = subscription["items"].data

    assert subscription.status == "active"
    assert subscription.metadata["account_id"] == "1"
    assert not hasattr(subscription, "current_period_end")
    start, end = (datetime.fromtimestamp(at, UTC) for at in (item.current_period_start, item.current_period_end))
    assert 28 <= (end - start).days <= 31
    assert item.price.unit_amount == 2900


async def test_it_begins_incomplete_and_turns_active_when_paid(stripe_client, subscription):
    assert await types_since(stripe_client, "customer.subscription.created") == [
        "customer.subscription.created",
        "invoice.created",
        "invoice.finalized",
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice_payment.paid",
        "invoice.payment_succeeded",
        "invoice.paid",
        "customer.subscription.updated",
        "checkout.session.completed",
    ]
    created = (await stripe_client.v1.events.list_async({"type": "customer.subscription.created"})).data[0]
    assert created.data.object.status == "incomplete"


async def test_an_invoice_leads_to_its_subscription_and_its_payment(stripe_client, subscription):
    invoice = await stripe_client.v1.invoices.retrieve_async(subscription.latest_invoice)
    (line,) = invoice.lines.data

    assert (invoice.status, invoice.amount_paid, invoice.billing_reason) == ("paid", 2900, "subscription_create")
    assert invoice.parent.subscription_details.subscription == subscription.id
    assert invoice.parent.subscription_details.metadata["account_id"] == "1"
    assert line.period.end == subscription["items"].data[0].current_period_end
    assert "payments" not in invoice
    charge = await charge_of(stripe_client, invoice.id)
    assert (charge.amount, charge.customer) == (2900, subscription.customer)


async def test_a_payment_leads_back_to_its_invoice(stripe_client, subscription):
    charge = await charge_of(stripe_client, subscription.latest_invoice)

    found = await stripe_client.v1.invoice_payments.list_async(
        {"payment": {"type": "payment_intent", "payment_intent": charge.payment_intent}, "expand": ["data.invoice"]}
    )

    assert [payment.invoice.id for payment in found.data] == [subscription.latest_invoice]


async def test_a_renewal_is_a_new_period_and_a_new_invoice(stripe_client, stripe_server, subscription):
    first = subscription["items"].data[0]

    stripe_server.control(f"/sandbox/subscriptions/{subscription.id}/renew", {"outcome": "paid"})

    renewed = await stripe_client.v1.subscriptions.retrieve_async(subscription.id, {"expand": ["latest_invoice"]})
    assert renewed["items"].data[0].current_period_start == first.current_period_end
    invoice = renewed.latest_invoice
    assert (invoice.status, invoice.billing_reason) == ("paid", "subscription_cycle")
    assert (invoice.period_start, invoice.period_end) == (first.current_period_start, first.current_period_end)
    assert invoice.lines.data[0].period.start == first.current_period_end
    listed = await stripe_client.v1.invoices.list_async({"subscription": subscription.id, "status": "paid"})
    assert len(listed.data) == 2
    assert len({one.number for one in listed.data}) == 2


async def test_a_failed_renewal_is_past_due_until_the_invoice_is_paid(stripe_client, stripe_server, subscription):
    stripe_server.control(f"/sandbox/subscriptions/{subscription.id}/renew", {"outcome": "failed"})
    overdue = await stripe_client.v1.subscriptions.retrieve_async(subscription.id, {"expand": ["latest_invoice"]})

    stripe_server.control(f"/sandbox/invoices/{overdue.latest_invoice.id}/collect", {"outcome": "paid"})
    recovered = await stripe_client.v1.subscriptions.retrieve_async(subscription.id, {"expand": ["latest_invoice"]})

    assert (overdue.status, overdue.latest_invoice.status) == ("past_due", "open")
    assert (overdue.latest_invoice.attempt_count, overdue.latest_invoice.amount_remaining) == (1, 2900)
    assert (recovered.status, recovered.latest_invoice.status) == ("active", "paid")
    failed = (await stripe_client.v1.events.list_async({"type": "invoice.payment_failed"})).data
    assert [event.data.object.id for event in failed] == [overdue.latest_invoice.id]


async def test_a_subscription_ends_with_its_period_when_asked_to(stripe_client, stripe_server, subscription):
    ends_at = subscription["items"].data[0].current_period_end
    leaving = await stripe_client.v1.subscriptions.update_async(
        subscription.id, {"cancel_at_period_end": True, "cancellation_details": {"feedback": "unused"}}
    )
    staying = await stripe_client.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": False})
    await stripe_client.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})

    stripe_server.control(f"/sandbox/subscriptions/{subscription.id}/renew")

    assert (leaving.status, leaving.cancel_at, leaving.cancellation_details.feedback) == ("active", ends_at, "unused")
    assert (staying.cancel_at, staying.canceled_at) == (None, None)
    ended = await stripe_client.v1.subscriptions.retrieve_async(subscription.id)
    assert (ended.status, ended.cancellation_details.reason) == ("canceled", "cancellation_requested")
    assert await types_since(stripe_client, "customer.subscription.deleted") == ["customer.subscription.deleted"]


async def test_a_canceled_subscription_is_over(stripe_client, stripe_server, subscription):
    canceled = await stripe_client.v1.subscriptions.cancel_async(subscription.id)

    assert (canceled.status, canceled.ended_at is not None) == ("canceled", True)
    for refused in (
        stripe_client.v1.subscriptions.cancel_async(subscription.id),
        stripe_client.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True}),
    ):
        with pytest.raises(stripe.InvalidRequestError):
            await refused
    renewal = httpx2.post(f"{stripe_server.base_url}/sandbox/subscriptions/{subscription.id}/renew")
    assert renewal.status_code == 400
    by_customer = {"customer": subscription.customer}
    assert (await stripe_client.v1.subscriptions.list_async(by_customer)).data == []
    assert len((await stripe_client.v1.subscriptions.list_async({**by_customer, "status": "all"})).data) == 1


async def test_a_charge_is_refunded_in_parts_and_never_beyond(stripe_client, subscription):
    charge = await charge_of(stripe_client, subscription.latest_invoice)

    part = await stripe_client.v1.refunds.create_async(
        {"payment_intent": charge.payment_intent, "amount": 900, "metadata": {"why": "kindness"}}
    )
    with pytest.raises(stripe.InvalidRequestError):
        await stripe_client.v1.refunds.create_async({"charge": charge.id, "amount": 2001})
    half = await stripe_client.v1.charges.retrieve_async(charge.id)
    await stripe_client.v1.refunds.create_async({"charge": charge.id, "reason": "requested_by_customer"})
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await stripe_client.v1.refunds.create_async({"charge": charge.id})

    assert refusal.value.code == "charge_already_refunded"
    assert (half.amount_refunded, half.refunded) == (900, False)
    whole = await stripe_client.v1.charges.retrieve_async(charge.id, {"expand": ["refunds"]})
    assert (whole.amount_refunded, whole.refunded) == (2900, True)
    assert sorted(refund.amount for refund in whole.refunds.data) == [900, 2000]
    movement = await stripe_client.v1.balance_transactions.retrieve_async(part.balance_transaction)
    assert (movement.amount, movement.fee, movement.type) == (-900, 0, "refund")
    listed = await stripe_client.v1.refunds.list_async({"charge": charge.id})
    assert len(listed.data) == 2
    assert (await stripe_client.v1.refunds.retrieve_async(part.id)).metadata["why"] == "kindness"
    refunded = (await stripe_client.v1.events.list_async({"types": ["charge.refunded", "refund.created"]})).data
    assert sorted(event.type for event in refunded) == ["charge.refunded"] * 2 + ["refund.created"] * 2


@pytest.mark.parametrize(("outcome", "movements"), [("won", [-2900, 2900]), ("lost", [-2900])])
async def test_a_dispute_takes_the_money_and_gives_it_back_when_won(
    stripe_client, stripe_server, subscription, outcome, movements
):
    charge = await charge_of(stripe_client, subscription.latest_invoice)

    opened = stripe_server.control(f"/sandbox/charges/{charge.id}/dispute")
    with pytest.raises(stripe.InvalidRequestError):
        await stripe_client.v1.refunds.create_async({"charge": charge.id})
    stripe_server.control(f"/sandbox/disputes/{opened['id']}/close", {"outcome": outcome})

    dispute = await stripe_client.v1.disputes.retrieve_async(opened["id"], {"expand": ["charge"]})
    assert (dispute.status, dispute.charge.disputed) == (outcome, True)
    assert [movement.amount for movement in dispute.balance_transactions] == movements
    assert dispute.balance_transactions[0].fee == 1500
    types = await types_since(stripe_client, "charge.dispute.created")
    assert types[:2] == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    assert types[2:] == ["charge.dispute.closed"] + ["charge.dispute.funds_reinstated"] * (outcome == "won")
    listed = await stripe_client.v1.disputes.list_async({"payment_intent": charge.payment_intent})
    assert [one.id for one in listed.data] == [dispute.id]


async def test_a_charge_may_learn_its_fee_later(stripe_client, stripe_server, subscription):
    stripe_server.control("/sandbox/webhooks", {"late_fees": True})
    stripe_server.control(f"/sandbox/subscriptions/{subscription.id}/renew")
    renewed = await stripe_client.v1.subscriptions.retrieve_async(subscription.id)
    charge = await charge_of(stripe_client, renewed.latest_invoice)

    stripe_server.control(f"/sandbox/charges/{charge.id}/settle")

    settled = await stripe_client.v1.charges.retrieve_async(charge.id, {"expand": ["balance_transaction"]})
    assert charge.balance_transaction is None
    assert settled.balance_transaction.fee == 114
    assert await types_since(stripe_client, "charge.updated") == ["charge.updated"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/sandbox/checkout/cs_nobody/pay", {}),
        ("/sandbox/checkout/cs_nobody/pay", {"card": "gold"}),
        ("/sandbox/subscriptions/sub_nobody/renew", {"outcome": "paid"}),
        ("/sandbox/disputes/du_nobody/close", {}),
        ("/sandbox/webhooks", {"duplicate": -1}),
        ("/sandbox/webhooks", {"pause": True}),
        ("/sandbox/webhooks", {"url": "ftp://x"}),
    ],
)
def test_a_control_that_cannot_be_is_refused(stripe_server, path, body):
    answer = httpx2.post(stripe_server.base_url + path, json=body)

    assert answer.status_code in {400, 404}
    assert answer.json()["error"]["message"]

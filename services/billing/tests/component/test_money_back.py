"""Renewals, failed renewals, endings, refunds and disputes."""

import stripe

SETTLED = "billing.payment-settled.v1"
FAILED = "billing.payment-failed.v1"
REVERSED = "billing.payment-reversed.v1"
SUBSCRIBED = "billing.subscription-changed.v1"


async def test_a_renewal_grants_the_next_period(billing, account):
    session = await billing.bought(account, "starter")

    billing.stripe.control(f"/sandbox/subscriptions/{session['subscription']}/renew")
    await billing.rest()

    first, second = sorted(await billing.events(SETTLED, account.id), key=lambda event: event["period_start"])
    assert second["period_start"] == first["period_end"]
    assert second["payment_id"] != first["payment_id"]


async def test_a_failed_renewal_is_stated_per_try_and_settles_when_it_is_paid_at_last(billing, account):
    session = await billing.bought(account, "starter")
    subscription_id = session["subscription"]

    billing.stripe.control(f"/sandbox/subscriptions/{subscription_id}/renew", {"outcome": "failed"})
    await billing.rest()
    invoice = await sdk(billing).v1.invoices.list_async(params={"subscription": subscription_id, "status": "open"})
    invoice_id = invoice.data[0].id
    billing.stripe.control(f"/sandbox/invoices/{invoice_id}/collect", {"outcome": "failed"})
    await billing.rest()

    assert await status_of(billing, account) == "past_due"
    failures = await billing.events(FAILED, account.id)
    assert [(one["kind"], one["amount_minor"], one["reason"]) for one in failures] == [
        ("subscription", "2000", "generic_decline")
    ] * 2
    assert len({one["id"] for one in failures}) == 2
    assert len(await billing.events(SETTLED, account.id)) == 1

    billing.stripe.control(f"/sandbox/invoices/{invoice_id}/collect")
    await billing.rest()

    assert await status_of(billing, account) == "active"
    assert len(await billing.events(SETTLED, account.id)) == 2


async def test_an_ended_subscription_is_announced_and_another_can_be_bought(billing, account):
    session = await billing.bought(account, "starter")
    client = sdk(billing)

    await client.v1.subscriptions.update_async(session["subscription"], params={"cancel_at_period_end": True})
    await billing.rest()
    assert (await billing.events(SUBSCRIBED, account.id))[-1]["cancel_at_period_end"] is True
    await client.v1.subscriptions.cancel_async(session["subscription"])
    await billing.rest()

    assert await status_of(billing, account) == "canceled"
    assert (await billing.checkout(account, "starter")).status_code == 201


async def test_each_refund_is_stated_once_with_its_own_amount(billing, account):
    session = await billing.bought(account, "credits_10")
    client = sdk(billing)

    first = await client.v1.refunds.create_async(params={"payment_intent": session["payment_intent"], "amount": 400})
    await billing.rest()
    rest = await client.v1.refunds.create_async(params={"payment_intent": session["payment_intent"]})
    await billing.rest()

    reversals = await billing.events(REVERSED, account.id)
    assert [(one["reversal_id"], one["kind"], one["reversed_minor"], one["paid_minor"]) for one in reversals] == [
        (first.id, "refund", "400", "1000"),
        (rest.id, "refund", "600", "1000"),
    ]
    assert await reversed_of(billing, account) == "10.00"


async def test_a_refund_that_is_heard_of_before_its_payment_settles_it_first(billing, account):
    session_id = await billing.opened(account, "credits_10")
    billing.stripe.control("/sandbox/webhooks", {"url": ""})
    session = billing.stripe.control(f"/sandbox/checkout/{session_id}/pay")
    billing.stripe.control("/sandbox/webhooks", {"url": f"{billing.url}/billing/webhooks/stripe"})

    await sdk(billing).v1.refunds.create_async(params={"payment_intent": session["payment_intent"]})
    await billing.rest()

    assert len(await billing.events(SETTLED, account.id)) == 1
    assert len(await billing.events(REVERSED, account.id)) == 1


async def test_a_dispute_that_is_won_is_opened_and_won_once(billing, account):
    dispute_id = await disputed(billing, account)
    assert await reversed_of(billing, account) == "10.00"

    billing.stripe.control(f"/sandbox/disputes/{dispute_id}/close", {"outcome": "won"})
    await billing.rest()

    reversals = await billing.events(REVERSED, account.id)
    assert [(one["reversal_id"], one["kind"]) for one in reversals] == [
        (dispute_id, "dispute_opened"),
        (dispute_id, "dispute_won"),
    ]
    assert await reversed_of(billing, account) == "0.00"


async def test_a_dispute_that_is_lost_takes_nothing_twice(billing, account):
    dispute_id = await disputed(billing, account)

    billing.stripe.control(f"/sandbox/disputes/{dispute_id}/close", {"outcome": "lost"})
    await billing.rest()

    assert [one["kind"] for one in await billing.events(REVERSED, account.id)] == ["dispute_opened", "dispute_lost"]
    assert await reversed_of(billing, account) == "10.00"


async def test_a_refund_of_a_subscription_names_the_payment_that_was_settled(billing, account):
    await billing.bought(account, "starter")
    (settled,) = await billing.events(SETTLED, account.id)

    await sdk(billing).v1.refunds.create_async(params={"payment_intent": settled["payment_id"], "amount": 500})
    await billing.rest()

    (reversal,) = await billing.events(REVERSED, account.id)
    assert (reversal["payment_id"], reversal["reversed_minor"]) == (settled["payment_id"], "500")


async def disputed(billing, account) -> str:
    session = await billing.bought(account, "credits_10")
    intent = await sdk(billing).v1.payment_intents.retrieve_async(session["payment_intent"])
    dispute = billing.stripe.control(f"/sandbox/charges/{intent.latest_charge}/dispute")
    await billing.rest()
    return dispute["id"]


async def status_of(billing, account) -> str:
    answer = await billing.http.get("/billing/subscription", headers=account.headers)
    return answer.json()["subscription"]["status"]


async def reversed_of(billing, account) -> str:
    answer = await billing.http.get("/billing/payments", headers=account.headers)
    return answer.json()["items"][0]["reversed"]


def sdk(billing) -> stripe.StripeClient:
    return stripe.StripeClient(
        billing.settings.stripe_secret_key.get_secret_value(),
        http_client=stripe.HTTPXClient(),
        base_addresses={"api": billing.stripe.base_url},
    )

"""Wrong currencies, negative amounts, strangers' customers, forged metadata, prices that are not ours: refused."""

from uuid import uuid4

import httpx2
import pytest

ADDRESSES = {"success_url": "https://example.com/", "cancel_url": "https://example.com/"}
RULE = {"below": "5", "amount": "20", "daily_cap": "50", "monthly_cap": "200"}
SETTLED = "billing.payment-settled.v1"
SUBSCRIBED = "billing.subscription-changed.v1"


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/billing/checkout", {"offer": "top_up", "amount": "-10"}, "amount"),
        ("POST", "/billing/checkout", {"offer": "top_up", "amount": -10}, "amount"),
        ("POST", "/billing/checkout", {"offer": "team", "seats": -1}, "seats"),
        ("POST", "/billing/checkout", {"offer": "team", "seats": 0}, "seats"),
        ("POST", "/billing/checkout", {"offer": "small", "currency": "jpy"}, "currency"),
        ("POST", "/billing/checkout", {"offer": "large", "currency": "eur"}, "currency"),
        ("POST", "/billing/checkout", {"offer": "small", "customer": "cus_somebody"}, "customer"),
        ("POST", "/billing/checkout", {"offer": "small", "price": "price_somebody"}, "price"),
        ("POST", "/billing/checkout", {"offer": "small", "account_id": str(uuid4())}, "account_id"),
        ("POST", "/billing/checkout", {"offer": "small", "metadata": {"account_id": "x"}}, "metadata"),
        ("POST", "/billing/checkout", {"offer": "small", "success_url": "https://evil.example/"}, "success_url"),
        ("PUT", "/billing/overage", {"ceiling": "-5"}, "ceiling"),
        ("PUT", "/billing/auto-top-up", {**RULE, "below": "-1"}, "below"),
        ("PUT", "/billing/auto-top-up", {**RULE, "amount": "-20"}, "amount"),
        ("PUT", "/billing/auto-top-up", {**RULE, "daily_cap": "-50"}, "daily_cap"),
        ("PUT", "/billing/auto-top-up", {**RULE, "monthly_cap": "-200"}, "monthly_cap"),
        ("POST", "/billing/subscription/change", {"plan": "large", "seats": -3}, "seats"),
        ("POST", "/billing/subscription/change", {"plan": "large", "currency": "eur"}, "currency"),
        ("POST", "/billing/pay-per-use", {"plan": "used", "customer": "cus_somebody"}, "customer"),
        ("POST", "/billing/portal", {"customer": "cus_somebody"}, "customer"),
    ],
)
async def test_a_request_that_cannot_be_is_refused_by_field(shop, customer, method, path, body, field):
    answer = await shop.ask(customer, method, path, body)

    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field, answer.json()


async def test_a_customer_that_is_not_ours_cannot_claim_an_account(shop, customer):
    """A paid session of somebody else's customer, with our account in its metadata."""
    stranger = asked(shop, "customers")
    price = await price_of_a_bundle(shop, customer)
    session = asked(
        shop,
        "checkout/sessions",
        mode="payment",
        customer=stranger["id"],
        client_reference_id=str(customer.id),
        **{"metadata[account_id]": str(customer.id), "line_items[0][price]": price, "line_items[0][quantity]": "1"},
        **ADDRESSES,
    )

    shop.billing.stripe.control(f"/sandbox/checkout/{session['id']}/pay")
    await shop.billing.rest()

    await refused(shop, "checkout.session.completed", session["id"])
    assert [one["offer_id"] for one in await shop.billing.events(SETTLED, customer.id)] == ["large"]


@pytest.mark.parametrize("wrong", ["currency", "amount", "negative"])
async def test_a_top_up_of_another_amount_or_currency_than_the_one_asked_for_settles_nothing(shop, customer, wrong):
    """Somebody with Stripe's key makes a session under our id for what the buyer never ordered."""
    opened = await shop.done(customer, "POST", "/billing/checkout", {"offer": "top_up", "amount": "10"})
    forged = {"currency": ("eur", 1000), "amount": ("usd", 100), "negative": ("usd", 1000)}[wrong]
    body = {
        "metadata[account_id]": str(customer.id),
        "metadata[offer]": "top_up",
        "metadata[offer_version]": "1",
        "line_items[0][price_data][currency]": forged[0],
        "line_items[0][price_data][unit_amount]": str(-1000 if wrong == "negative" else forged[1]),
        "line_items[0][price_data][product_data][name]": "Credits",
        "line_items[0][quantity]": "1",
    }
    owner = await customer_of(shop, customer)
    answer = posted(shop, "checkout/sessions", mode="payment", customer=owner, **body, **ADDRESSES)
    if wrong == "negative":
        assert answer.status_code == 400
        return
    session_id = answer.json()["id"]
    await shop.billing.rows_changed(
        "UPDATE checkout SET session_id = :forged WHERE session_id = :id", forged=session_id, id=opened["session_id"]
    )

    shop.billing.stripe.control(f"/sandbox/checkout/{session_id}/pay")
    await shop.billing.rest()

    await refused(shop, "checkout.session.completed", session_id)
    assert await shop.billing.events(SETTLED, customer.id) == []


async def test_a_subscription_at_a_price_that_is_no_plan_of_ours_changes_nothing(shop, customer):
    await shop.buy(customer, "small")
    shown = await shop.subscription(customer)
    told = await shop.billing.events(SUBSCRIBED, customer.id)
    price = asked(
        shop,
        "prices",
        currency="usd",
        unit_amount="1",
        **{"recurring[interval]": "month", "product_data[name]": "Cheap"},
    )
    (item,) = fetched(shop, f"subscriptions/{shown['id']}")["items"]["data"]

    asked(
        shop,
        f"subscriptions/{shown['id']}",
        proration_behavior="none",
        **{"items[0][id]": item["id"], "items[0][price]": price["id"]},
    )
    await shop.billing.rest()

    await refused(shop, "customer.subscription.updated", shown["id"])
    assert (await shop.subscription(customer))["plan"] == "small"
    assert await shop.billing.events(SUBSCRIBED, customer.id) == told


async def test_a_subscription_whose_metadata_names_another_account_is_refused(shop, customer):
    await shop.buy(customer, "small")
    victim = await shop.billing.new_account()
    shown = await shop.subscription(customer)

    asked(shop, f"subscriptions/{shown['id']}", **{"metadata[account_id]": str(victim.id)})
    await shop.billing.rest()

    await refused(shop, "customer.subscription.updated", shown["id"])
    assert await shop.billing.events(SUBSCRIBED, victim.id) == []
    assert (await shop.done(victim, "GET", "/billing/subscription"))["subscription"] is None


async def test_a_plan_that_nobody_may_buy_is_not_sold_by_its_name(shop, customer):
    await shop.buy(customer, "small")

    for path, body in (
        ("/billing/checkout", {"offer": "used"}),
        ("/billing/checkout", {"offer": "trial"}),
        ("/billing/subscription/change", {"plan": "used"}),
        ("/billing/subscription/change", {"plan": "trial"}),
        ("/billing/subscription/change", {"plan": "extra"}),
        ("/billing/pay-per-use", {"plan": "large"}),
    ):
        answer = await shop.ask(customer, "POST", path, body)

        assert answer.status_code == 422, (path, body, answer.text)


async def test_another_accounts_objects_are_unknown(shop, customer):
    session_id = await shop.buy(customer, "small")
    (invoice,) = (await shop.done(customer, "GET", "/billing/invoices"))["items"]
    (payment,) = (await shop.done(customer, "GET", "/billing/payments"))["items"]
    (card,) = (await shop.done(customer, "GET", "/billing/payment-methods"))["items"]
    other = await shop.billing.new_account()
    await shop.buy(other)

    for method, path in (
        ("GET", f"/billing/checkout/{session_id}"),
        ("GET", f"/billing/invoices/{invoice['id']}"),
        ("GET", f"/billing/invoices/{invoice['id']}/use"),
        ("GET", f"/billing/payments/{payment['id']}/use"),
        ("POST", f"/billing/payment-methods/{card['id']}/default"),
        ("DELETE", f"/billing/payment-methods/{card['id']}"),
    ):
        answer = await shop.ask(other, method, path)

        assert answer.status_code == 404, (path, answer.text)


def posted(shop, path: str, **form: str) -> httpx2.Response:
    """What somebody with Stripe's key may do, and we never would."""
    stripe = shop.billing.stripe
    return httpx2.post(f"{stripe.base_url}/v1/{path}", data=form, auth=(stripe.secret_key, ""))


def asked(shop, path: str, **form: str) -> dict:
    return posted(shop, path, **form).raise_for_status().json()


def fetched(shop, path: str) -> dict:
    stripe = shop.billing.stripe
    return httpx2.get(f"{stripe.base_url}/v1/{path}", auth=(stripe.secret_key, "")).raise_for_status().json()


async def customer_of(shop, account) -> str:
    (row,) = await shop.billing.rows("SELECT id FROM stripe_customer WHERE account_id = :id", id=account.id)
    return row.id


async def price_of_a_bundle(shop, account) -> str:
    """The price of a bundle, which a first checkout has made."""
    await shop.buy(account, "large")
    await shop.done(account, "POST", "/billing/checkout", {"offer": "extra"})
    (row,) = await shop.billing.rows("SELECT id FROM stripe_price WHERE offer_id = 'extra' ORDER BY version LIMIT 1")
    return row.id


async def refused(shop, kind: str, object_id: str) -> None:
    rows = await shop.billing.rows(
        "SELECT state, reason FROM webhook_event WHERE type = :kind AND object_id = :id ORDER BY received_at DESC",
        kind=kind,
        id=object_id,
    )
    assert [row.state for row in rows if row.state != "applied"] == ["failed"], rows
    assert all(row.reason.startswith("payment_refused") for row in rows if row.state == "failed")

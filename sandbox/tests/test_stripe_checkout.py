"""Checkout: sessions through the SDK, the pay page as a buyer's browser meets it."""

import httpx2
import pytest
import stripe

from kit.clock import ManualClock
from sandbox.fixtures_stripe import running_stripe_server

pytest_plugins = ["sandbox.fixtures_stripe"]

SHOP = {
    "success_url": "https://shop.example/done?session={CHECKOUT_SESSION_ID}",
    "cancel_url": "https://shop.example/back",
}


def item(amount=1000, *, quantity=1, name="Bundle of 10", **price):
    product = {"name": name}
    return {
        "price_data": {"currency": "usd", "unit_amount": amount, "product_data": product, **price},
        "quantity": quantity,
    }


async def new_session(client, **params):
    return await client.v1.checkout.sessions.create_async({"mode": "payment", "line_items": [item()], **SHOP, **params})


async def test_a_paid_session_leads_to_the_money_and_the_fee(stripe_client, stripe_server):
    customer = await stripe_client.v1.customers.create_async({"email": "a@b.example"})
    session = await new_session(
        stripe_client,
        customer=customer.id,
        client_reference_id="account-1",
        metadata={"offer": "bundle_10"},
        payment_intent_data={"metadata": {"account_id": "1"}, "description": "Bundle"},
    )
    assert (session.status, session.payment_status, session.payment_intent) == ("open", "unpaid", None)

    stripe_server.control(f"/sandbox/checkout/{session.id}/pay", {"card": "ok"})

    paid = await stripe_client.v1.checkout.sessions.retrieve_async(
        session.id, {"expand": ["line_items.data.price.product", "payment_intent.latest_charge.balance_transaction"]}
    )
    assert (paid.status, paid.payment_status, paid.amount_total, paid.url) == ("complete", "paid", 1000, None)
    assert (paid.client_reference_id, paid.metadata["offer"]) == ("account-1", "bundle_10")
    assert paid.line_items.data[0].price.product.name == "Bundle of 10"
    intent = paid.payment_intent
    assert (intent.status, intent.amount_received, intent.metadata["account_id"]) == ("succeeded", 1000, "1")
    balance = intent.latest_charge.balance_transaction
    assert (balance.amount, balance.fee, balance.net, balance.currency) == (1000, 59, 941, "usd")


async def test_a_declined_card_leaves_the_session_open(stripe_client, stripe_server):
    session = await new_session(stripe_client)

    stripe_server.control(f"/sandbox/checkout/{session.id}/pay", {"card": "declined"})
    declined = await stripe_client.v1.checkout.sessions.retrieve_async(session.id, {"expand": ["payment_intent"]})
    stripe_server.control(f"/sandbox/checkout/{session.id}/pay", {"card": "ok"})
    paid = await stripe_client.v1.checkout.sessions.retrieve_async(session.id)

    assert (declined.status, declined.payment_status) == ("open", "unpaid")
    assert declined.payment_intent.last_payment_error.code == "card_declined"
    assert (paid.payment_status, paid.payment_intent) == ("paid", declined.payment_intent.id)
    charges = await stripe_client.v1.charges.list_async({"payment_intent": paid.payment_intent})
    assert [charge.status for charge in charges.data] == ["succeeded", "failed"]


async def test_a_session_is_paid_once(stripe_client, stripe_server):
    session = await new_session(stripe_client)
    address = f"{stripe_server.base_url}/sandbox/checkout/{session.id}/pay"

    answers = [httpx2.post(address, json={"card": "ok"}).status_code for _ in range(2)]

    assert answers == [200, 400]
    assert len((await stripe_client.v1.charges.list_async()).data) == 1


async def test_an_expired_session_cannot_be_paid(stripe_client, stripe_server):
    session = await new_session(stripe_client)

    expired = await stripe_client.v1.checkout.sessions.expire_async(session.id)

    assert expired.status == "expired"
    assert httpx2.post(f"{stripe_server.base_url}/sandbox/checkout/{session.id}/pay").status_code == 400
    assert httpx2.get(session.url).status_code == 410
    with pytest.raises(stripe.InvalidRequestError):
        await stripe_client.v1.checkout.sessions.expire_async(session.id)
    events = await stripe_client.v1.events.list_async({"type": "checkout.session.expired"})
    assert [event.data.object.id for event in events.data] == [session.id]


def test_a_session_expires_by_itself():
    clock = ManualClock()
    with running_stripe_server(clock=clock) as server:
        form = "mode=payment&success_url=https://shop.example&line_items[0][price_data][currency]=usd&line_items[0][quantity]=1"
        form += "&line_items[0][price_data][unit_amount]=500&line_items[0][price_data][product_data][name]=x"
        headers = {"Authorization": f"Bearer {server.secret_key}", "Content-Type": "application/x-www-form-urlencoded"}
        session = httpx2.post(f"{server.base_url}/v1/checkout/sessions", content=form, headers=headers).json()
        clock.advance(24 * 3600)

        answer = httpx2.post(session["url"], data={"action": "pay"})

    assert answer.status_code in {400, 410}
    assert "expired" in answer.text


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"line_items": []}, "line_items"),
        ({"line_items": [{"price": "price_nobody", "quantity": 1}]}, "line_items[0][price]"),
        ({"line_items": [{"price_data": {"currency": "usd", "unit_amount": 500}, "quantity": 1}]}, None),
        ({"line_items": [item(20)]}, "line_items"),
        ({"line_items": [item(currency="usd"), item(currency="eur")]}, "line_items"),
        ({"line_items": [item(recurring={"interval": "month"})]}, "mode"),
        ({"mode": "subscription"}, "line_items"),
        ({"mode": "barter"}, "mode"),
        ({"customer": "cus_nobody"}, "customer"),
        ({"success_url": "javascript:alert(1)"}, "success_url"),
        ({"customer_email": "nobody"}, "customer_email"),
        ({"expires_at": 1}, "expires_at"),
        ({"subscription_data": {"metadata": {"a": "b"}}}, "subscription_data"),
    ],
)
async def test_a_session_that_cannot_be_is_refused(stripe_client, wrong, param):
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await new_session(stripe_client, **wrong)

    assert refusal.value.http_status == 400
    assert param is None or refusal.value.param == param


@pytest.mark.parametrize(
    "feature",
    [
        {"invoice_creation": {"enabled": True}},
        {"allow_promotion_codes": True},
        {"payment_method_types": ["card"]},
        {"payment_intent_data": {"capture_method": "manual"}},
        {"ui_mode": "embedded_page"},
        {"discounts": [{"coupon": "x"}]},
    ],
)
async def test_a_feature_of_checkout_that_is_not_done_is_501(stripe_client, feature):
    with pytest.raises(stripe.APIError) as refusal:
        await new_session(stripe_client, **feature)

    assert refusal.value.http_status == 501


async def test_sessions_are_listed_by_customer_and_payment_intent(stripe_client, stripe_server):
    customer = await stripe_client.v1.customers.create_async({"email": "a@b.example"})
    session = await new_session(stripe_client, customer=customer.id)
    await new_session(stripe_client)
    stripe_server.control(f"/sandbox/checkout/{session.id}/pay")
    paid = await stripe_client.v1.checkout.sessions.retrieve_async(session.id)

    for filters in ({"customer": customer.id}, {"payment_intent": paid.payment_intent}, {"status": "complete"}):
        found = await stripe_client.v1.checkout.sessions.list_async(filters)
        assert [one.id for one in found.data] == [session.id]
    lines = await stripe_client.v1.checkout.sessions.line_items.list_async(session.id)
    assert [(line.description, line.amount_total, line.quantity) for line in lines.data] == [("Bundle of 10", 1000, 1)]


async def test_the_page_says_what_is_bought_and_that_no_money_moves(stripe_client):
    name = "Ten <b>credits</b> & more"
    session = await new_session(stripe_client, line_items=[item(name=name, quantity=3)], customer_email="a@b.example")

    page = httpx2.get(session.url)

    assert page.status_code == 200
    assert "no real money" in page.text
    assert "Ten &lt;b&gt;credits&lt;/b&gt; &amp; more" in page.text
    assert "$30.00" in page.text
    assert "a@b.example" in page.text
    assert 'href="https://shop.example/back"' in page.text


async def test_the_pay_button_pays_and_goes_back_to_the_shop(stripe_client):
    session = await new_session(stripe_client, customer_creation="always")

    answer = httpx2.post(session.url, data={"action": "pay", "email": "new@buyer.example"})

    assert answer.status_code == 303
    assert answer.headers["location"] == f"https://shop.example/done?session={session.id}"
    paid = await stripe_client.v1.checkout.sessions.retrieve_async(session.id, {"expand": ["customer"]})
    assert (paid.payment_status, paid.customer.email) == ("paid", "new@buyer.example")
    assert "Already paid" in httpx2.get(session.url).text
    assert "Already paid" in httpx2.post(session.url, data={"action": "pay"}).text
    assert "Already paid" in httpx2.post(session.url, data={"action": "decline"}).text


async def test_the_decline_button_says_so_and_asks_again(stripe_client):
    session = await new_session(stripe_client)

    answer = httpx2.post(session.url, data={"action": "decline"}, follow_redirects=True)

    assert answer.status_code == 200
    assert "was declined" in answer.text
    assert 'value="pay"' in answer.text
    assert (await stripe_client.v1.checkout.sessions.retrieve_async(session.id)).payment_status == "unpaid"


async def test_a_press_of_no_button_pays_nothing(stripe_client):
    session = await new_session(stripe_client)

    assert httpx2.post(session.url, data={}).status_code == 400
    assert httpx2.post(session.url, data={"action": "steal"}).status_code == 400
    assert (await stripe_client.v1.checkout.sessions.retrieve_async(session.id)).payment_status == "unpaid"


def test_a_page_for_no_session_is_404(stripe_server):
    assert httpx2.get(f"{stripe_server.base_url}/pay/cs_test_nobody").status_code == 404

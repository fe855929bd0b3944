"""From an order to a payment in the books, and everything that must not become one."""

from uuid import uuid4

import httpx2
import pytest

from billing.adapters.stripe_api import StripeApi
from billing.app import create_app
from kit.testing import Signer

SETTLED = "billing.payment-settled.v1"
SUBSCRIBED = "billing.subscription-changed.v1"


async def test_a_paid_bundle_is_settled_with_its_fee(billing, account):
    session = await billing.bought(account, "credits_10")

    (event,) = await billing.events(SETTLED, account.id)
    assert event == {
        "id": event["id"],
        "account_id": str(account.id),
        "payment_id": session["payment_intent"],
        "kind": "bundle",
        "offer_id": "credits_10",
        "plan_id": None,
        "plan_version": None,
        "subscription_id": None,
        "grant_unit": "credit",
        "grant_amount": "10000000000",
        "paid_minor": "1000",
        "fee_minor": "59",
        "currency": "usd",
        "valid_days": 365,
        "period_start": None,
        "period_end": None,
        "tax_minor": "0",
        "use_minor": "0",
    }
    page = (await billing.http.get("/billing/payments", headers=account.headers)).json()
    assert [(item["amount"], item["credits"], item["reversed"], item["status"]) for item in page["items"]] == [
        ("10.00", "10", "0.00", "settled")
    ]
    progress = (await billing.http.get(f"/billing/checkout/{session['id']}", headers=account.headers)).json()
    assert progress == {
        "session_id": session["id"],
        "status": "complete",
        "settled": True,
        "offer": "credits_10",
        "mode": "payment",
    }


async def test_a_paid_subscription_is_announced_and_grants_its_real_period(billing, account):
    session = await billing.bought(account, "starter")

    changes = await billing.events(SUBSCRIBED, account.id)
    (settled,) = await billing.events(SETTLED, account.id)
    assert changes[-1]["status"] == "active"
    assert [change["version"] for change in changes] == list(range(1, len(changes) + 1))
    assert settled["kind"] == "subscription"
    assert settled["grant_amount"] == "20000000000"
    assert (settled["plan_id"], settled["plan_version"]) == ("starter", 1)
    assert settled["subscription_id"] == session["subscription"]
    assert settled["period_start"] == changes[-1]["current_period_start"]
    assert settled["period_end"] == changes[-1]["current_period_end"]
    assert settled["fee_minor"] == "88"
    shown = (await billing.http.get("/billing/subscription", headers=account.headers)).json()["subscription"]
    assert (shown["plan"], shown["status"]) == ("starter", "active")


async def test_a_declined_card_settles_nothing_and_the_session_can_still_be_paid(billing, account):
    session_id = await billing.opened(account, "credits_10")
    billing.stripe.control(f"/sandbox/checkout/{session_id}/pay", {"card": "declined"})
    await billing.rest()

    assert await billing.events(SETTLED, account.id) == []

    billing.stripe.control(f"/sandbox/checkout/{session_id}/pay")
    await billing.rest()

    assert len(await billing.events(SETTLED, account.id)) == 1


async def test_the_same_key_gives_the_same_session_and_another_body_is_refused(billing, account):
    """(money.md 17)."""
    first = await billing.checkout(account, "credits_10", key="one")
    again = await billing.checkout(account, "credits_10", key="one")
    other = await billing.checkout(account, "credits_25", key="one")

    assert first.json() == again.json()
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert await billing.count("checkout", "account_id = :id", id=account.id) == 1


async def test_a_try_that_ended_before_the_answer_finds_its_session_again(billing, account):
    first = (await billing.checkout(account, "credits_10", key="lost")).json()
    async with billing.database.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("UPDATE idempotency SET status = NULL, answer = NULL WHERE key = 'lost'")
        await connection.exec_driver_sql(
            "UPDATE checkout SET status = 'opening', session_id = NULL WHERE idempotency_key = 'lost'"
        )

    again = (await billing.checkout(account, "credits_10", key="lost")).json()

    assert again == first


async def test_a_second_subscription_is_refused(billing, account):
    await billing.bought(account, "starter")

    answer = await billing.checkout(account, "starter")

    assert (answer.status_code, answer.json()["code"]) == (409, "already_subscribed")


@pytest.mark.parametrize("role", ["developer", "user"])
async def test_only_owners_and_admins_may_buy_or_see_payments(billing, account, role):
    headers = billing.headers(account.id, role=role)

    bought = await billing.http.post(
        "/billing/checkout", json={"offer": "credits_10"}, headers=headers | {"idempotency-key": uuid4().hex}
    )
    seen = await billing.http.get("/billing/payments", headers=headers)

    assert (bought.status_code, bought.json()["code"]) == (403, "role_may_not_buy")
    assert seen.status_code == 403


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"offer": "nothing"}, 404, "offer"),
        ({"offer": "trial"}, 422, "offer"),
        ({}, 422, "offer"),
        ({"offer": 7}, 422, "offer"),
        ({"offer": "credits_10", "amount": "1"}, 422, "amount"),
        ({"offer": "credits_10", "success_url": "https://evil.example/"}, 422, "success_url"),
        ({"offer": "credits_10", "success_url": "javascript:alert(1)"}, 422, "success_url"),
        ({"offer": "credits_10", "cancel_url": "http://127.0.0.1:8080@evil.example/"}, 422, "cancel_url"),
        ({"offer": "credits_10", "cancel_url": "http://[::1"}, 422, "cancel_url"),
    ],
)
async def test_a_bad_order_names_the_field(billing, account, body, status, field):
    answer = await billing.http.post(
        "/billing/checkout", json=body, headers=account.headers | {"idempotency-key": uuid4().hex}
    )

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == field


async def test_an_order_needs_a_token_and_a_key(billing, account):
    without_key = await billing.http.post("/billing/checkout", json={"offer": "credits_10"}, headers=account.headers)
    without_token = await billing.http.post("/billing/checkout", json={"offer": "credits_10"})
    forged = Signer(issuer="http://127.0.0.1:8080").user_token(account_id=account.id)
    with_forged = await billing.http.get("/billing/payments", headers={"authorization": f"Bearer {forged}"})

    assert (without_key.status_code, without_key.json()["errors"][0]["field"]) == (422, "Idempotency-Key")
    assert without_token.status_code == 401
    assert with_forged.status_code == 401


async def test_an_account_that_is_not_known_yet_is_told_to_try_again(billing):
    stranger = uuid4()

    answer = await billing.http.post(
        "/billing/checkout",
        json={"offer": "credits_10"},
        headers=billing.headers(stranger) | {"idempotency-key": "x"},
    )

    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "account_not_ready", "1")


async def test_another_account_cannot_read_a_session_and_a_browser_sees_its_status_only(billing, account):
    session_id = await billing.opened(account, "credits_10")
    other = await billing.new_account()

    foreign = await billing.http.get(f"/billing/checkout/{session_id}", headers=other.headers)
    browser = await billing.http.get(f"/billing/checkout/{session_id}")

    assert (foreign.status_code, foreign.json()["code"]) == (404, "unknown_session")
    assert browser.json() == {"session_id": session_id, "status": "open", "settled": False}


async def test_a_desktop_program_may_be_returned_to(billing, account):
    answer = await billing.checkout(account, "credits_10", success_url="http://localhost:51234/paid")

    assert answer.status_code == 201
    page = await billing.http.get(answer.json()["checkout_url"])
    assert page.status_code == 200


async def test_stripe_is_asked_for_one_customer_and_one_price_and_never_for_kinds_of_payment(billing, account):
    await billing.opened(account, "credits_25")
    await billing.opened(account, "credits_25")

    api = StripeApi(billing.settings.stripe_secret_key.get_secret_value(), api_url=billing.stripe.base_url)
    prices = await api._client.v1.prices.list_async(params={"limit": 100})
    keys = [price.lookup_key for price in prices.data if price.lookup_key.startswith("faregate_credits_25")]
    assert len(keys) == 1
    assert await billing.count("stripe_customer", "account_id = :id", id=account.id) == 1
    assert "payment_method_types" not in str(billing.stripe.requests())


async def test_without_stripe_a_checkout_says_try_later(billing, account):
    away = billing.settings.model_copy(update={"stripe_api_url": "http://127.0.0.1:9"})
    app = create_app(away, keys=billing.signer, group=f"billing-{uuid4().hex}")
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://billing") as http,
    ):
        answer = await http.post(
            "/billing/checkout", json={"offer": "credits_10"}, headers=account.headers | {"idempotency-key": "down"}
        )

    assert (answer.status_code, answer.json()["code"]) == (503, "stripe_unavailable")
    assert int(answer.headers["retry-after"]) > 0


async def test_offers_are_public_and_say_what_can_be_bought(billing):
    items = (await billing.http.get("/billing/offers")).json()["items"]

    assert [(item["id"], item["price"], item["credits"], item["buyable"]) for item in items] == [
        ("trial", "0.00", "5", False),
        ("starter", "20.00", "20", True),
        ("credits_10", "10.00", "10", True),
        ("credits_25", "25.00", "25", True),
        ("top_up", "0.00", "0", True),
    ]


async def test_a_browser_gets_the_offers_as_a_page_and_a_program_as_json(billing):
    browser = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}

    page = await billing.http.get("/billing/offers", headers=browser)
    program = await billing.http.get("/billing/offers", headers={"accept": "application/json"})

    assert page.headers["content-type"].startswith("text/html")
    assert "<code>credits_10</code>" in page.text
    assert program.headers["content-type"] == "application/json"
    assert page.headers["vary"] == program.headers["vary"] == "accept"


async def test_the_success_page_trusts_nothing_in_its_address(billing):
    answer = await billing.http.get("/billing/success?session_id=<script>alert(1)</script>&settled=true")

    assert answer.status_code == 200
    assert "alert(1)" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy


async def test_payments_are_paged(billing, account):
    for _ in range(3):
        await billing.bought(account, "credits_10")

    first = (await billing.http.get("/billing/payments?limit=2", headers=account.headers)).json()
    second = (
        await billing.http.get(
            "/billing/payments", params={"limit": 2, "cursor": first["next_cursor"]}, headers=account.headers
        )
    ).json()
    broken = await billing.http.get("/billing/payments?cursor=WyJ4IiwieSJd", headers=account.headers)

    ids = [item["id"] for item in (*first["items"], *second["items"])]
    assert len(set(ids)) == 3
    assert second["next_cursor"] is None
    assert (broken.status_code, broken.json()["errors"][0]["field"]) == (422, "cursor")

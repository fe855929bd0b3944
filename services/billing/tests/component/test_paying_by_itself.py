"""Cards on file, top-ups of any amount and by themselves, use that is paid afterwards, and the flags over all of it."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx2

from contracts.ledger import OverageAccrued

SETTLED = "billing.payment-settled.v1"
FAILED = "billing.payment-failed.v1"
CREDIT = 10**9
RULE = {"below": "5", "amount": "20", "daily_cap": "50", "monthly_cap": "200"}


async def test_a_card_is_set_up_listed_made_the_default_and_removed(shop, customer):
    session_id = await shop.buy(customer)
    await shop.buy(customer)

    items = (await shop.done(customer, "GET", "/billing/payment-methods"))["items"]
    older = next(item["id"] for item in items if not item["charged"])
    await shop.done(customer, "POST", f"/billing/payment-methods/{older}/default")
    chosen = (await shop.done(customer, "GET", "/billing/payment-methods"))["items"]
    await shop.done(customer, "DELETE", f"/billing/payment-methods/{older}")
    left = (await shop.done(customer, "GET", "/billing/payment-methods"))["items"]

    assert [(item["brand"], item["last4"]) for item in items] == [("visa", "4242")] * 2
    assert [item["id"] for item in chosen if item["charged"]] == [older]
    assert [(item["id"] != older, item["charged"]) for item in left] == [(True, True)]
    assert (await shop.settings(customer))[-1]["has_payment_method"] is True
    assert (await shop.done(customer, "GET", f"/billing/checkout/{session_id}"))["settled"] is True
    assert await shop.billing.events(SETTLED, customer.id) == []


async def test_a_card_that_is_taken_away_at_stripe_is_charged_no_longer(shop, customer):
    await shop.buy(customer)
    (item,) = (await shop.done(customer, "GET", "/billing/payment-methods"))["items"]
    stripe = shop.billing.stripe

    httpx2.post(
        f"{stripe.base_url}/v1/payment_methods/{item['id']}/detach", auth=(stripe.secret_key, "")
    ).raise_for_status()
    await shop.billing.rest()

    assert (await shop.settings(customer))[-1]["has_payment_method"] is False
    refused = await shop.ask(customer, "PUT", "/billing/auto-top-up", RULE)
    assert (refused.status_code, refused.json()["code"]) == (409, "no_payment_method")


async def test_another_default_card_pays_the_subscription_that_a_checkout_began_with_the_first(shop, customer):
    await shop.buy(customer, "small")
    (first,) = (await shop.done(customer, "GET", "/billing/payment-methods"))["items"]
    await shop.buy(customer)
    items = (await shop.done(customer, "GET", "/billing/payment-methods"))["items"]
    other = next(item["id"] for item in items if item["id"] != first["id"])
    stripe, subscription = shop.billing.stripe, await shop.subscription(customer)

    async def charged() -> str:
        headers = {"authorization": f"Bearer {stripe.secret_key}"}
        async with httpx2.AsyncClient(base_url=stripe.base_url, headers=headers) as http:
            return (await http.get(f"/v1/subscriptions/{subscription['id']}")).json()["default_payment_method"]

    before = await charged()
    await shop.done(customer, "POST", f"/billing/payment-methods/{other}/default")

    assert (before, await charged()) == (first["id"], other)


async def test_another_accounts_card_is_unknown_and_a_needed_one_stays(shop, customer):
    await shop.buy(customer, "small")
    other = await shop.billing.new_account()
    await shop.buy(other)
    (own,) = (await shop.done(customer, "GET", "/billing/payment-methods"))["items"]

    foreign = await shop.ask(other, "DELETE", f"/billing/payment-methods/{own['id']}")
    needed = await shop.ask(customer, "DELETE", f"/billing/payment-methods/{own['id']}")

    assert (foreign.status_code, foreign.json()["code"]) == (404, "unknown_payment_method")
    assert (needed.status_code, needed.json()["code"]) == (409, "payment_method_in_use")


async def test_the_portal_is_stripes_own_page(shop, customer):
    nobody = await shop.ask(customer, "POST", "/billing/portal", {})
    await shop.buy(customer)

    answer = await shop.done(customer, "POST", "/billing/portal", {"return_url": "http://localhost:5/back"})
    elsewhere = await shop.ask(customer, "POST", "/billing/portal", {"return_url": "https://evil.example/"})

    assert nobody.status_code == 409
    assert answer["url"].startswith(shop.billing.stripe.base_url)
    assert (elsewhere.status_code, elsewhere.json()["errors"][0]["field"]) == (422, "return_url")


async def test_a_top_up_of_a_free_amount_grants_exactly_that(shop, customer):
    await shop.buy(customer, "top_up", amount="12.34")

    (settled,) = await shop.billing.events(SETTLED, customer.id)
    assert (settled["offer_id"], settled["paid_minor"], settled["grant_amount"]) == ("top_up", "1234", "12340000000")
    assert settled["valid_days"] == 365


async def test_a_top_up_out_of_bounds_names_the_field(shop, customer):
    for body, field in (
        ({"offer": "top_up"}, "amount"),
        ({"offer": "top_up", "amount": "4.99"}, "amount"),
        ({"offer": "top_up", "amount": "500.01"}, "amount"),
        ({"offer": "top_up", "amount": "-5"}, "amount"),
        ({"offer": "top_up", "amount": "1e2"}, "amount"),
        ({"offer": "top_up", "amount": "5.001"}, "amount"),
        ({"offer": "top_up", "amount": "10", "currency": "eur"}, "currency"),
        ({"offer": "small", "amount": "10"}, "amount"),
        ({"offer": "small", "seats": 2}, "seats"),
        ({"offer": "small", "mode": "setup"}, "offer"),
    ):
        answer = await shop.ask(customer, "POST", "/billing/checkout", body)

        assert answer.status_code == 422, body
        assert answer.json()["errors"][0]["field"] == field, body


async def test_a_low_balance_is_topped_up_once_and_the_gap_is_closed(shop, customer):
    await shop.buy(customer)
    shop.books.set(customer.id, 2 * CREDIT)
    await shop.done(customer, "PUT", "/billing/auto-top-up", RULE)

    await shop.billing.eventually(lambda: settled_minor(shop, customer), ["2300"])
    shop.books.set(customer.id, 25 * CREDIT)
    await look_again(shop, customer)

    assert await shop.billing.count("charge_attempt", "account_id = :id", id=customer.id) == 1
    state = await shop.done(customer, "GET", "/billing/auto-top-up")
    assert (state["enabled"], state["paused"], state["last_state"]) == (True, None, "succeeded")
    (event,) = await shop.billing.events(SETTLED, customer.id)
    assert (event["kind"], event["grant_amount"]) == ("bundle", "23000000000")


async def test_the_caps_bound_what_is_topped_up(shop, customer):
    await shop.buy(customer)
    shop.books.set(customer.id, -100 * CREDIT)
    # Both caps alike: whether a day ends while this runs makes no difference.
    await shop.done(customer, "PUT", "/billing/auto-top-up", RULE | {"monthly_cap": "50"})

    await shop.billing.eventually(lambda: settled_minor(shop, customer), ["5000"])
    await shop.billing.rows_changed(
        "UPDATE charge_attempt SET ended_at = ended_at - interval '1 hour' WHERE account_id = :id", id=customer.id
    )
    await look_again(shop, customer)

    assert await settled_minor(shop, customer) == ["5000"]


async def test_a_card_that_wants_its_owner_pauses_the_top_ups_until_another_is_set_up(shop, customer):
    await shop.buy(customer)
    (item,) = (await shop.done(customer, "GET", "/billing/payment-methods"))["items"]
    shop.billing.stripe.control(f"/sandbox/payment_methods/{item['id']}", {"charge": "authentication_required"})
    shop.books.set(customer.id, 0)
    await shop.done(customer, "PUT", "/billing/auto-top-up", RULE)

    await shop.billing.eventually(lambda: paused(shop, customer), "authentication_required")
    await look_again(shop, customer)
    (failed,) = await shop.billing.events(FAILED, customer.id)
    assert (failed["reason"], failed["amount_minor"]) == ("authentication_required", "2500")
    assert await shop.billing.count("charge_attempt", "account_id = :id", id=customer.id) == 1

    await shop.buy(customer)
    await shop.billing.eventually(lambda: paused(shop, customer), None)


async def test_a_decline_backs_off(shop, customer):
    await shop.buy(customer)
    (item,) = (await shop.done(customer, "GET", "/billing/payment-methods"))["items"]
    shop.billing.stripe.control(f"/sandbox/payment_methods/{item['id']}", {"charge": "insufficient_funds"})
    shop.books.set(customer.id, 0)
    await shop.done(customer, "PUT", "/billing/auto-top-up", RULE)
    await shop.billing.eventually(lambda: states(shop, customer), ["declined"])

    await look_again(shop, customer)
    assert await states(shop, customer) == ["declined"]

    shop.billing.stripe.control(f"/sandbox/payment_methods/{item['id']}", {"charge": "succeeded"})
    await shop.billing.rows_changed(
        "UPDATE charge_attempt SET ended_at = ended_at - interval '1 hour' WHERE account_id = :id", id=customer.id
    )
    await look_again(shop, customer)
    await shop.billing.eventually(lambda: states(shop, customer), ["declined", "succeeded"])


async def test_use_is_collected_in_one_payment_once_it_is_enough(shop, customer):
    await start_using(shop, customer)

    await owe(shop, customer, 12_345_678_901, hours_ago=3)
    assert await settled_minor(shop, customer) == []
    await owe(shop, customer, 7_700_000_000, hours_ago=2)
    await shop.billing.eventually(lambda: settled_minor(shop, customer), ["2004"])
    await shop.billing.rest()

    (event,) = await shop.billing.events(SETTLED, customer.id)
    assert (event["grant_amount"], event["offer_id"]) == ("0", "used")
    hours = await shop.done(customer, "GET", f"/billing/payments/{event['payment_id']}/use")
    assert [one["credits"] for one in hours["items"]] == ["12.345678901", "7.7"]
    (carry,) = await shop.billing.rows("SELECT carry_nano FROM use_carry WHERE account_id = :id", id=customer.id)
    assert carry.carry_nano == 12_345_678_901 + 7_700_000_000 - 20_040_000_000
    # What is paid makes room for more.
    told = [one["overage_ceiling_nano"] for one in await shop.settings(customer)]
    assert told[-1] == str(100 * CREDIT + 12_345_678_901 + 7_700_000_000)


async def test_a_declined_collection_blocks_loses_nothing_and_another_card_pays_it(shop, customer):
    await start_using(shop, customer)
    (item,) = (await shop.done(customer, "GET", "/billing/payment-methods"))["items"]
    shop.billing.stripe.control(f"/sandbox/payment_methods/{item['id']}", {"charge": "generic_decline"})

    await owe(shop, customer, 30 * CREDIT, hours_ago=2)
    await shop.billing.eventually(lambda: states(shop, customer), ["declined"])
    await shop.billing.rest()
    assert (await shop.settings(customer))[-1]["overage_ceiling_nano"] == "0"
    unpaid = (await shop.subscription(customer))["unpaid"]
    assert (unpaid["amount"], unpaid["card_brand"], unpaid["card_last4"]) == ("30.00", "visa", "4242")
    assert unpaid["detail"] == "30.00 usd could not be collected from the visa card ending in 4242 (generic_decline)."
    (failed,) = await shop.billing.events(FAILED, customer.id)
    assert (failed["card_brand"], failed["card_last4"]) == ("visa", "4242")

    await shop.buy(customer)
    newest = next(
        one["id"]
        for one in (await shop.done(customer, "GET", "/billing/payment-methods"))["items"]
        if one["id"] != item["id"]
    )
    await shop.done(customer, "POST", f"/billing/payment-methods/{newest}/default")
    await shop.billing.eventually(lambda: settled_minor(shop, customer), ["3000"])
    await shop.billing.rest()
    assert (await shop.settings(customer))[-1]["overage_ceiling_nano"] == str(130 * CREDIT)


async def test_an_end_of_paying_per_use_collects_what_is_left(shop, customer):
    await start_using(shop, customer)
    await shop.done(customer, "POST", "/billing/subscription/cancel", {"when": "now"})

    await owe(shop, customer, 3 * CREDIT, hours_ago=2)

    await shop.billing.eventually(lambda: settled_minor(shop, customer), ["300"])


async def test_paying_per_use_needs_a_card_and_no_other_subscription(shop, customer):
    bare = await shop.ask(customer, "POST", "/billing/pay-per-use", {"plan": "used"})
    await shop.buy(customer, "small")
    taken = await shop.ask(customer, "POST", "/billing/pay-per-use", {"plan": "used"})
    wrong = await shop.ask(customer, "POST", "/billing/pay-per-use", {"plan": "small"})

    assert (bare.status_code, bare.json()["code"]) == (409, "no_payment_method")
    assert (taken.status_code, taken.json()["code"]) == (409, "already_subscribed")
    assert wrong.status_code == 422


async def test_a_closed_path_refuses_what_begins_and_strands_nothing(shop, customer):
    opened = await shop.done(customer, "POST", "/billing/checkout", {"offer": "top_up", "amount": "10"})
    await start_using(shop, customer)
    for path in ("top_up", "pay_per_use", "auto_top_up", "checkout", "overage"):
        await set_path(shop, path, "closed", customer)

    refused = [
        await shop.ask(customer, "POST", "/billing/checkout", {"offer": "top_up", "amount": "10"}),
        await shop.ask(customer, "POST", "/billing/checkout", {"offer": "small"}),
        await shop.ask(customer, "PUT", "/billing/auto-top-up", RULE),
    ]
    shop.billing.stripe.control(f"/sandbox/checkout/{opened['session_id']}/pay")
    await owe(shop, customer, 25 * CREDIT, hours_ago=2)

    assert [(one.status_code, one.json()["code"]) for one in refused] == [(403, "path_closed")] * 3
    await shop.billing.eventually(lambda: settled_minor(shop, customer), ["1000", "2500"])
    assert (await shop.settings(customer))[-1]["open_paths"] == []
    assert (await shop.settings(customer))[-1]["overage_ceiling_nano"] == "0"


async def test_flags_are_the_operators_and_each_change_is_on_record(shop, customer):
    operator = shop.billing.operator_headers()
    body = {"state": "closed", "account_id": str(customer.id), "reason": "a pilot"}

    mine = await shop.billing.http.put("/billing/operator/paths/top_up", json=body, headers=customer.headers)
    theirs = await shop.billing.http.put("/billing/operator/paths/top_up", json=body, headers=operator)
    acts = await shop.billing.http.get("/billing/operator/audit", headers=operator)
    unknown = await shop.billing.http.put("/billing/operator/paths/wishes", json=body, headers=operator)

    assert mine.status_code == 403
    assert {"path": "top_up", "scope": str(customer.id), "state": "closed"} in theirs.json()["items"]
    newest = acts.json()["items"][0]
    assert (newest["action"], newest["target"], newest["reason"]) == ("path.closed", f"top_up:{customer.id}", "a pilot")
    assert unknown.status_code == 422


async def test_aliases_are_the_same_routes(shop, customer):
    first = await shop.done(customer, "POST", "/api/billing/checkout", {"offer": "top_up", "amount": "10"})
    second = await shop.done(customer, "POST", "/api/stripe/create-checkout-session", {"offer": "small"})
    unsigned = await shop.billing.http.post("/api/stripe/webhook", content=b"{}")

    assert first["checkout_url"] != second["checkout_url"]
    assert (unsigned.status_code, unsigned.json()["code"]) == (400, "invalid_webhook")


async def start_using(shop, account) -> None:
    await shop.buy(account)
    await shop.done(account, "POST", "/billing/pay-per-use", {"plan": "used"})
    shown = await shop.subscription(account)
    assert (shown["pays_per_use"], shown["status"]) == (True, "active")
    assert (await shop.settings(account))[-1]["overage_ceiling_nano"] == str(100 * CREDIT)


async def owe(shop, account, amount_nano: int, *, hours_ago: int) -> None:
    """The ledger tells of an hour of use."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    event = OverageAccrued(
        id=uuid4(),
        time=now,
        account_id=account.id,
        plan_id="used",
        plan_version=1,
        hour=now + timedelta(days=1) - timedelta(hours=hours_ago),
        sequence=1,
        collect="payment",
        unit="credit",
        quantity=amount_nano,
        amount_nano=amount_nano,
    )
    before = await shop.billing.count("owed_use", "account_id = :id", id=account.id)
    await shop.billing.producer.send(event.type, event.key.encode(), event.encode("ledger"))
    await shop.billing.eventually(lambda: shop.billing.count("owed_use", "account_id = :id", id=account.id), before + 1)


async def look_again(shop, account) -> None:
    """The balance is looked at now, not in a minute."""
    await shop.billing.rows_changed(
        "UPDATE account_settings SET top_up_look_at = now() WHERE account_id = :id", id=account.id
    )
    await shop.billing.eventually(
        lambda: shop.billing.count("account_settings", "account_id = :id AND top_up_look_at <= now()", id=account.id), 0
    )


async def settled_minor(shop, account) -> list[str]:
    rows = await shop.billing.rows(
        "SELECT amount_minor FROM payment WHERE account_id = :id AND status = 'settled' ORDER BY amount_minor",
        id=account.id,
    )
    return [str(row.amount_minor) for row in rows]


async def states(shop, account) -> list[str]:
    rows = await shop.billing.rows(
        "SELECT state FROM charge_attempt WHERE account_id = :id ORDER BY created_at", id=account.id
    )
    return [row.state for row in rows]


async def paused(shop, account) -> str | None:
    (row,) = await shop.billing.rows("SELECT top_up_paused FROM account_settings WHERE account_id = :id", id=account.id)
    return row.top_up_paused


async def set_path(shop, path: str, state: str, account) -> None:
    body = {"state": state, "account_id": str(account.id), "reason": "a test"}
    answer = await shop.billing.http.put(
        f"/billing/operator/paths/{path}", json=body, headers=shop.billing.operator_headers()
    )
    assert answer.status_code == 200, answer.text

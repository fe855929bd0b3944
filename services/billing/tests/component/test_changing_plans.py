"""A subscription's life: trial, more at once, less at the period's end, seats, an end and its taking back."""

import pytest

SETTLED = "billing.payment-settled.v1"
SUBSCRIBED = "billing.subscription-changed.v1"


async def test_more_is_paid_at_once_as_previewed_and_grants_its_share_of_the_rest(shop, customer):
    await shop.buy(customer, "small")

    preview = await shop.done(customer, "POST", "/billing/subscription/preview", {"plan": "large"})
    body = {"plan": "large", "previewed_at": preview["at"]}
    changed = await shop.done(customer, "POST", "/billing/subscription/change", body)

    assert changed["when"] == "now"
    first, second = sorted(await shop.billing.events(SETTLED, customer.id), key=lambda one: one["plan_id"] != "small")
    assert second["plan_id"] == "large"
    assert second["paid_minor"] == preview["due"].replace(".", "")
    assert second["grant_amount"] == nano(preview["allowance_given"])
    assert second["period_end"] == first["period_end"]
    # The whole period is ahead, but for the seconds since it began.
    assert 95_000_000_000 < int(second["grant_amount"]) <= 100_000_000_000
    assert 5_900 <= int(second["paid_minor"]) <= 6_000
    assert (await shop.subscription(customer))["plan"] == "large"


async def test_a_declined_upgrade_changes_nothing_and_says_why(shop, customer):
    await shop.buy(customer, "small")
    await refuse_cards(shop, customer)

    answer = await shop.ask(customer, "POST", "/billing/subscription/change", {"plan": "large"})
    await shop.billing.rest()

    assert (answer.status_code, answer.json()["code"]) == (402, "card_declined")
    assert answer.json()["reason"] == "generic_decline"
    assert answer.json()["card"] == {"brand": "visa", "last4": "4242"}
    assert answer.json()["detail"] == "The visa card ending in 4242 was declined (generic_decline)."
    assert (await shop.subscription(customer))["plan"] == "small"
    assert len(await shop.billing.events(SETTLED, customer.id)) == 1


async def test_less_waits_for_the_periods_end_and_can_be_taken_back(shop, customer):
    await shop.buy(customer, "large")

    preview = await shop.done(customer, "POST", "/billing/subscription/preview", {"plan": "small"})
    await shop.done(customer, "POST", "/billing/subscription/change", {"plan": "small"})

    shown = await shop.subscription(customer)
    assert (preview["when"], preview["due"]) == ("period_end", "0.00")
    assert (shown["plan"], shown["pending"]["plan"]) == ("large", "small")
    assert (await shop.billing.events(SUBSCRIBED, customer.id))[-1]["plan_id"] == "large"

    await shop.done(customer, "POST", "/billing/subscription/resume")
    assert (await shop.subscription(customer))["pending"] is None

    await shop.done(customer, "POST", "/billing/subscription/change", {"plan": "small"})
    shop.billing.stripe.control(f"/sandbox/subscriptions/{shown['id']}/renew")
    await shop.billing.rest()

    later = await shop.subscription(customer)
    assert (later["plan"], later["pending"]) == ("small", None)
    settled = await shop.billing.events(SETTLED, customer.id)
    assert sorted((one["plan_id"], one["paid_minor"]) for one in settled) == [("large", "8000"), ("small", "2000")]


async def test_seats_are_paid_and_granted_each(shop, customer):
    await shop.buy(customer, "team", seats=2)

    await shop.done(customer, "POST", "/billing/subscription/change", {"seats": 5})
    too_many = await shop.ask(customer, "POST", "/billing/subscription/change", {"seats": 11})

    settled = await shop.billing.events(SETTLED, customer.id)
    whole, more = sorted(settled, key=lambda one: int(one["grant_amount"]))
    assert (whole["paid_minor"], whole["grant_amount"]) == ("2000", "20000000000")
    assert 29_000_000_000 < int(more["grant_amount"]) <= 30_000_000_000
    assert 2_900 <= int(more["paid_minor"]) <= 3_000
    assert (await shop.subscription(customer))["seats"] == 5
    assert (await shop.billing.events(SUBSCRIBED, customer.id))[-1]["quantity"] == 5
    assert (too_many.status_code, too_many.json()["errors"][0]["field"]) == (422, "seats")


async def test_a_year_begins_at_once_and_is_not_cut_short(shop, customer):
    await shop.buy(customer, "large")

    await shop.done(customer, "POST", "/billing/subscription/change", {"plan": "large_yearly"})
    back = await shop.ask(customer, "POST", "/billing/subscription/change", {"plan": "large"})

    year = next(one for one in await shop.billing.events(SETTLED, customer.id) if one["plan_id"] == "large_yearly")
    assert year["grant_amount"] == "1200000000000"
    assert 72_000 <= int(year["paid_minor"]) <= 72_100
    assert (back.status_code, back.json()["code"]) == (409, "change_refused")


async def test_a_trial_costs_nothing_gives_its_share_and_is_had_once(shop, customer):
    session_id = await shop.buy(customer, "tried")

    (settled,) = await shop.billing.events(SETTLED, customer.id)
    shown = await shop.subscription(customer)
    assert (shown["status"], shown["trial_end"]) == ("trialing", shown["current_period_end"])
    assert settled["paid_minor"] == "0"
    # Ten days of a month of 28 to 31.
    assert 9_600_000_000 < int(settled["grant_amount"]) < 10_800_000_000
    assert (await shop.done(customer, "GET", f"/billing/checkout/{session_id}"))["settled"] is True

    await shop.done(customer, "POST", "/billing/subscription/cancel", {"when": "now"})
    await shop.buy(customer, "tried")

    assert (await shop.subscription(customer))["status"] == "active"
    assert [one["paid_minor"] for one in await shop.billing.events(SETTLED, customer.id)] == ["0", "3000"]


async def test_an_end_at_the_periods_end_is_taken_back_and_one_now_ends_it(shop, customer):
    await shop.buy(customer, "small")

    await shop.done(customer, "POST", "/billing/subscription/cancel", {"when": "period_end"})
    ending = await shop.subscription(customer)
    await shop.done(customer, "POST", "/billing/subscription/resume")
    going_on = await shop.subscription(customer)
    nothing = await shop.ask(customer, "POST", "/billing/subscription/resume")
    await shop.done(customer, "POST", "/billing/subscription/cancel", {"when": "now"})

    assert (ending["cancel_at_period_end"], going_on["cancel_at_period_end"]) == (True, False)
    assert nothing.status_code == 409
    assert (await shop.subscription(customer))["status"] == "canceled"
    ended = await shop.ask(customer, "POST", "/billing/subscription/cancel", {"when": "now"})
    assert (ended.status_code, ended.json()["code"]) == (409, "no_subscription")


async def test_another_currency_is_its_own_price_and_stays_the_subscriptions(shop, customer):
    await shop.buy(customer, "small", currency="eur")

    (settled,) = await shop.billing.events(SETTLED, customer.id)
    other = await shop.ask(customer, "POST", "/billing/subscription/change", {"plan": "large"})

    assert (settled["paid_minor"], settled["currency"], settled["grant_amount"]) == ("1900", "eur", "20000000000")
    assert (other.status_code, other.json()["code"]) == (422, "currency_not_sold")


async def test_an_add_on_is_for_subscribers_of_its_plans(shop, customer):
    without = await shop.ask(customer, "POST", "/billing/checkout", {"offer": "extra"})
    await shop.buy(customer, "large")
    await shop.buy(customer, "extra")

    assert (without.status_code, without.json()["code"]) == (422, "not_for_this_offer")
    assert {one["offer_id"] for one in await shop.billing.events(SETTLED, customer.id)} == {"large", "extra"}


async def test_the_same_key_changes_once_and_another_body_is_refused(shop, customer):
    await shop.buy(customer, "team")
    path = "/billing/subscription/change"

    first = await shop.ask(customer, "POST", path, {"seats": 3}, key="once")
    again = await shop.ask(customer, "POST", path, {"seats": 3}, key="once")
    other = await shop.ask(customer, "POST", path, {"seats": 4}, key="once")
    await shop.billing.rest()

    assert first.json() == again.json()
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert len(await shop.billing.events(SETTLED, customer.id)) == 2


async def test_invoices_are_mirrored_with_their_lines_and_are_nobody_elses(shop, customer):
    await shop.buy(customer, "small")
    await shop.done(customer, "POST", "/billing/subscription/change", {"plan": "large"})
    other = await shop.billing.new_account()

    items = (await shop.done(customer, "GET", "/billing/invoices"))["items"]
    one = await shop.done(customer, "GET", f"/billing/invoices/{items[0]['id']}")
    foreign = await shop.ask(other, "GET", f"/billing/invoices/{items[0]['id']}")

    assert len(items) == 2
    assert [item["status"] for item in items] == ["paid", "paid"]
    assert all(item["pdf_url"] and item["number"] for item in items)
    assert {line["proration"] for line in one["lines"]} | {False} == {True, False}
    assert foreign.status_code == 404


async def test_an_unpaid_renewal_is_borne_as_long_as_the_plan_says(shop, customer):
    """`large` has no patience at all, `small` three days."""
    patient = await shop.billing.new_account()
    for account, offer in ((customer, "large"), (patient, "small")):
        await shop.buy(account, offer)
        shown = await shop.subscription(account)
        await refuse_cards(shop, account)
        shop.billing.stripe.control(f"/sandbox/subscriptions/{shown['id']}/renew", {"outcome": "failed"})
    await shop.billing.rest()

    hasty = (await shop.billing.events(SUBSCRIBED, customer.id))[-1]
    borne = (await shop.billing.events(SUBSCRIBED, patient.id))[-1]
    assert (await shop.subscription(customer))["status"] == "past_due"
    assert (hasty["status"], borne["status"]) == ("unpaid", "past_due")
    assert borne["grace_until"] is not None
    assert (await shop.settings(patient))[-1]["overage_ceiling_nano"] == "0"
    refused = await shop.ask(patient, "POST", "/billing/subscription/change", {"plan": "large"})
    assert refused.status_code == 409


async def refuse_cards(shop, account) -> None:
    """From now on the account's cards are declined."""
    items = (await shop.done(account, "GET", "/billing/payment-methods"))["items"]
    for item in items:
        shop.billing.stripe.control(f"/sandbox/payment_methods/{item['id']}", {"charge": "generic_decline"})


def nano(credits_text: str) -> str:
    whole, _, rest = credits_text.partition(".")
    return str(int(whole) * 10**9 + int(rest.ljust(9, "0")[:9] or 0))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/billing/subscription/preview", {"plan": "large"}),
        ("POST", "/billing/subscription/change", {"plan": "large"}),
        ("POST", "/billing/subscription/cancel", {"when": "now"}),
        ("POST", "/billing/subscription/resume", None),
        ("POST", "/billing/portal", {}),
        ("POST", "/billing/pay-per-use", {"plan": "used"}),
        ("GET", "/billing/payment-methods", None),
        ("PUT", "/billing/overage", {"ceiling": "5"}),
        ("PUT", "/billing/auto-top-up", {"below": "1", "amount": "5", "daily_cap": "5", "monthly_cap": "5"}),
        ("GET", "/billing/invoices", None),
        ("GET", "/billing/credit-notes", None),
    ],
)
async def test_only_owners_and_admins_may_spend(shop, customer, method, path, body):
    headers = shop.billing.headers(customer.id, role="developer") | {"idempotency-key": "any"}

    answer = await shop.billing.http.request(method, path, json=body, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (403, "role_may_not_buy")

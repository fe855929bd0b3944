"""Automatic taxes: off until Stripe collects them, on top of every price, never credited and nobody's revenue."""

import json
from uuid import uuid4

import httpx2
import pytest
from accrued import hour_of_use
from faults import FaultyTransport, on_calls

from billing.cli import cli
from billing.domain.collecting import TopUpRule
from billing.errors import TaxesNotReadyError
from billing.service.pay_per_use import PayPerUse, Wish, owe_use
from billing.service.top_ups import TopUps
from kit.testing_commands import called

CREDIT = 10**9
GERMAN = {
    "active_from": "now",
    "country": "DE",
    "country_options[de][type]": "standard",
    "country_options[de][standard][place_of_supply_scheme]": "standard",
}
SETTINGS = {"defaults[tax_behavior]": "exclusive", "head_office[address][country]": "DE"}


def asked(counter, path: str, form: dict[str, str]) -> dict:
    """What an operator does in Stripe's own dashboard."""
    answer = httpx2.post(f"{counter.server.base_url}/v1/{path}", data=form, auth=(counter.server.secret_key, ""))
    return answer.raise_for_status().json()


async def switched_on(counter) -> dict:
    """The registration."""
    asked(counter, "tax/settings", SETTINGS)
    registration = asked(counter, "tax/registrations", GERMAN)
    await counter.taxes().turn(is_on=True, actor="test", reason="registered")
    return registration


async def told(counter, account_id, topic: str) -> list[dict]:
    rows = await counter.rows(
        "SELECT value FROM outbox WHERE topic = :topic AND key = :key ORDER BY id",
        topic=topic,
        key=str(account_id).encode(),
    )
    return [json.loads(row.value)["data"] for row in rows]


async def settled(counter, account_id) -> list[tuple]:
    """What the other services hear of each payment: without the taxes, the taxes, and what was granted."""
    found = await told(counter, account_id, "billing.payment-settled.v1")
    return [(one["paid_minor"], one["tax_minor"], one["grant_amount"]) for one in found]


async def test_taxes_stay_off_while_stripe_would_collect_none_and_every_reason_is_named(counter):
    with pytest.raises(TaxesNotReadyError) as refused:
        await counter.taxes().turn(is_on=True, actor="test", reason="hope")
    asked(counter, "tax/settings", {"head_office[address][country]": "DE", "defaults[tax_behavior]": "inclusive"})
    with pytest.raises(TaxesNotReadyError) as still:
        await counter.taxes().turn(is_on=True, actor="test", reason="hope")

    for reason in ("not active (missing: head_office)", "no active tax registration", "behavior is not set"):
        assert reason in refused.value.detail
    assert "not active" not in still.value.detail
    assert "behavior is inclusive" in still.value.detail
    assert (await counter.taxes().show()).is_on is False
    assert await counter.rows("SELECT 1 FROM audit_record") == []


async def test_the_switch_is_on_record_and_says_when_stripe_no_longer_collects(counter):
    registration = await switched_on(counter)
    before = await counter.taxes().show()

    asked(counter, f"tax/registrations/{registration['id']}", {"expires_at": "now"})
    after = await counter.taxes().show()
    await counter.taxes().turn(is_on=False, actor="test", reason="ended")

    assert (before.is_on, before.collects_nothing, before.standing.countries) == (True, False, ("DE",))
    assert (after.is_on, after.collects_nothing) == (True, True)
    acts = await counter.rows("SELECT action, reason FROM audit_record")
    assert sorted(tuple(act) for act in acts) == [("tax.off", "ended"), ("tax.on", "registered")]


async def test_the_commands_refuse_and_switch_and_say_what_stripe_has(counter, migrated_url, stack):
    env = {
        "FAREGATE_ENVIRONMENT": "sandbox",
        "FAREGATE_KAFKA_BOOTSTRAP": stack.kafka_bootstrap,
        "FAREGATE_PUBLIC_URL": "http://127.0.0.1:8080",
        "FAREGATE_AUTH_URL": "http://127.0.0.1:9",
        "FAREGATE_BILLING_PORT": "8083",
        "FAREGATE_BILLING_DATABASE_URL": await migrated_url(),
        "FAREGATE_STRIPE_SECRET_KEY": counter.server.secret_key,
        "FAREGATE_STRIPE_WEBHOOK_SECRET": "whsec_x",
        "FAREGATE_STRIPE_API_URL": counter.server.base_url,
    }

    refused = await called(cli, "tax", "on", "--reason", "hope", env=env)
    asked(counter, "tax/settings", SETTINGS)
    registration = asked(counter, "tax/registrations", GERMAN)
    on = await called(cli, "tax", "on", "--reason", "registered", env=env)
    followed = await called(cli, "tax", "follow", "--apply", env=env)
    asked(counter, f"tax/registrations/{registration['id']}", {"expires_at": "now"})
    silent = await called(cli, "tax", "show", env=env)
    off = await called(cli, "tax", "off", "--reason", "ended", env=env)

    assert (refused.returncode, "no active tax registration" in refused.stderr) == (2, True)
    assert (on.returncode, on.stdout) == (0, "automatic taxes: on\nactive registrations: DE\n")
    assert followed.stdout == "0 subscriptions follow, 0 have no address\n"
    assert (silent.returncode, "COLLECTS NOTHING: Stripe has no active" in silent.stdout) == (1, True)
    assert (off.returncode, "automatic taxes: off" in off.stdout) == (0, True)


async def test_a_bundle_costs_its_price_and_the_tax_and_grants_what_it_grants(counter):
    account_id = await counter.buyer("large")
    await switched_on(counter)

    await counter.buy(account_id, "extra", country="DE")

    (row,) = await counter.rows("SELECT * FROM payment WHERE account_id = :id AND offer_id = 'extra'", id=account_id)
    assert (row.amount_minor, row.tax_minor, row.grant_nano) == (952, 152, 10 * CREDIT)
    assert await counter.taken(account_id) == [952, 8000]
    assert (await settled(counter, account_id))[-1] == ("800", "152", str(10 * CREDIT))


async def test_a_checkout_that_is_repeated_after_the_switch_was_turned_is_the_same_checkout(shop, customer):
    stripe = shop.billing.stripe
    for path, form in (("tax/settings", SETTINGS), ("tax/registrations", GERMAN)):
        url = f"{stripe.base_url}/v1/{path}"
        httpx2.post(url, data=form, auth=(stripe.secret_key, "")).raise_for_status()
    operator = shop.billing.operator_headers()
    wanted = {"offer": "small"}

    on = await shop.billing.http.put(
        "/billing/operator/tax", json={"on": True, "reason": "registered"}, headers=operator
    )
    first = await shop.ask(customer, "POST", "/billing/checkout", wanted, key="once")
    shown = await shop.done(customer, "GET", "/billing/tax-ids")
    off = await shop.billing.http.put(
        "/billing/operator/tax", json={"on": False, "reason": "a test's end"}, headers=operator
    )
    second = await shop.ask(customer, "POST", "/billing/checkout", wanted, key="once")

    assert (on.json()["on"], on.json()["countries"], off.json()["on"]) == (True, ["DE"], False)
    assert shown["automatic_tax"] is True
    assert first.json() == second.json()
    asked_of_stripe = httpx2.get(
        f"{stripe.base_url}/v1/checkout/sessions/{first.json()['session_id']}", auth=(stripe.secret_key, "")
    ).json()
    assert asked_of_stripe["automatic_tax"]["enabled"] is True
    assert asked_of_stripe["billing_address_collection"] == "required"


async def test_a_subscriptions_tax_is_mirrored_and_each_period_tells_it_apart(counter):
    account_id = await counter.account()
    await switched_on(counter)

    await counter.buy(account_id, "small", country="DE")
    (row,) = await counter.rows("SELECT id FROM subscription WHERE account_id = :id", id=account_id)
    counter.server.control(f"/sandbox/subscriptions/{row.id}/renew")
    await counter.hear()

    invoices = await counter.rows(
        "SELECT total_minor, tax_minor, paid_minor FROM invoice WHERE account_id = :id", id=account_id
    )
    assert [tuple(one) for one in invoices] == [(2380, 380, 2380)] * 2
    assert await settled(counter, account_id) == [("2000", "380", str(20 * CREDIT))] * 2


async def test_a_refund_in_parts_takes_back_each_cent_that_was_no_tax_once(counter):
    account_id = await counter.account()
    await switched_on(counter)
    await counter.buy(account_id, "small", country="DE")
    (payment,) = await counter.rows("SELECT id FROM payment WHERE account_id = :id", id=account_id)

    for amount in (333, 1000, 1047):
        asked(counter, "refunds", {"payment_intent": payment.id, "amount": str(amount)})
        await counter.hear()

    found = await told(counter, account_id, "billing.payment-reversed.v1")
    parts = [int(one["reversed_minor"]) + int(one["tax_minor"]) for one in found]
    assert sorted(parts) == [333, 1000, 1047]
    assert sum(int(one["reversed_minor"]) for one in found) == 2000
    assert sum(int(one["tax_minor"]) for one in found) == 380
    assert {one["paid_minor"] for one in found} == {"2380"}


async def low(counter, account_id) -> None:
    counter.books.set(account_id, 2 * CREDIT)
    async with counter.database.transaction() as session:
        rule = TopUpRule(5 * CREDIT, 2000, 5000, 20000)
        await TopUps(counter.paths, counter.clock).set_rule(session, account_id, rule)


async def test_a_top_up_by_itself_takes_its_tax_on_top_and_grants_the_amount(counter):
    account_id = await counter.account()
    await switched_on(counter)
    await counter.buy(account_id, None, country="DE")
    await low(counter, account_id)

    await counter.collecting().once()
    await counter.hear()

    assert await counter.taken(account_id) == [2737]
    assert await settled(counter, account_id) == [("2300", "437", str(23 * CREDIT))]
    (intent,) = [one for one in counter.listed("payment_intents") if one["status"] == "succeeded"]
    assert intent["hooks"]["inputs"]["tax"]["calculation"].startswith("taxcalc_")


async def test_use_paid_afterwards_takes_its_tax_on_top_and_settles_the_use(counter):
    account_id = await counter.account()
    await switched_on(counter)
    await counter.buy(account_id, None, country="DE")
    async with counter.database.transaction() as session:
        await PayPerUse(counter.paths, counter.clock).start(session, Wish(account_id, "used", uuid4().hex))
        await owe_use(session, hour_of_use(counter, account_id, 20 * CREDIT + 9), now=counter.clock.now())

    await counter.collecting().once()
    await counter.hear()

    assert await counter.taken(account_id) == [2380]
    assert await settled(counter, account_id) == [("2000", "380", "0")]
    (carry,) = await counter.rows("SELECT carry_nano FROM use_carry WHERE account_id = :id", id=account_id)
    assert carry.carry_nano == 9


@pytest.mark.parametrize("number", range(5))
async def test_whatever_call_is_lost_a_taxed_top_up_is_taken_once_though_the_switch_turns_meanwhile(counter, number):
    account_id = await counter.account()
    await switched_on(counter)
    await counter.buy(account_id, None, country="DE")
    await low(counter, account_id)

    # The card's customer, its billing address, the calculation, the payment, the look at it.
    transport = FaultyTransport("cut after", on_calls({number}))
    await counter.collecting(transport).once()
    counter.books.set(account_id, 10**12)
    await counter.taxes().turn(is_on=False, actor="test", reason="meanwhile")
    for _ in range(2):
        counter.clock.advance(600)
        await counter.collecting().once()
    await counter.hear()

    assert len(transport.struck) == 1
    assert await counter.taken(account_id) == await counter.settled(account_id) == [2737]
    assert await settled(counter, account_id) == [("2300", "437", str(23 * CREDIT))]


async def test_who_is_nowhere_pays_without_taxes_as_stripes_own_invoices_do(counter):
    account_id = await counter.buyer()
    await switched_on(counter)
    await low(counter, account_id)

    await counter.collecting().once()
    await counter.hear()

    assert await counter.taken(account_id) == [2300]
    assert await settled(counter, account_id) == [("2300", "0", str(23 * CREDIT))]


async def test_running_subscriptions_follow_the_switch_only_when_told_and_only_where_stripe_knows_the_place(counter):
    known, unknown = await counter.buyer("small"), await counter.buyer("small")
    (customer,) = await counter.rows("SELECT id FROM stripe_customer WHERE account_id = :id", id=known)
    asked(counter, f"customers/{customer.id}", {"address[country]": "DE"})
    await switched_on(counter)

    shown = {one.account_id: one.change for one in await counter.taxes().follow(apply=False)}
    done = {one.account_id: one.change for one in await counter.taxes().follow(apply=True)}
    left = [one.account_id for one in await counter.taxes().follow(apply=False)]

    assert shown == {known: "taxed", unknown: "taxed"}
    assert done == {known: "taxed", unknown: "no address"}
    assert left == [unknown]

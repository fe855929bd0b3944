"""What billing relies on in Stripe, held against the stand-in and, with a test key, against Stripe itself.

`FAREGATE_TEST_STRIPE_KEY=sk_test_… pytest sandbox/tests/test_stripe_contract.py` runs both. Everything is made anew and
lives by test clocks, so that months pass in seconds.
"""

import asyncio
import os
import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import stripe

from sandbox.fixtures_stripe import running_stripe_server

KEY = "FAREGATE_TEST_STRIPE_KEY"
DAY_S = 24 * 3600
PATIENCE_S = 120


@dataclass
class Party:
    """Whom the contract is held against, and what tests ask of it."""

    v1: Any
    is_stripe: bool

    async def clock(self) -> Any:
        # The first of a month at noon: no period is cut short.
        return await self.v1.test_helpers.test_clocks.create_async({"frozen_time": first_of_month()})

    async def advance(self, clock: Any, *, days: float) -> None:
        """Wait until everything has happened that was due on the way."""
        present = await self.v1.test_helpers.test_clocks.retrieve_async(clock.id)
        target = present.frozen_time + int(days * DAY_S)
        await self.v1.test_helpers.test_clocks.advance_async(clock.id, {"frozen_time": target})
        await self.until(self.is_ready, clock.id)

    async def is_ready(self, clock_id: str) -> bool:
        return (await self.v1.test_helpers.test_clocks.retrieve_async(clock_id)).status == "ready"

    async def until(self, holds: Any, *arguments: Any) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not await holds(*arguments):  # noqa: ASYNC110 - Stripe has no event to wait for
                await asyncio.sleep(2 if self.is_stripe else 0.01)

    async def customer(self, *, clock: Any = None, card: str | None = "pm_card_visa") -> Any:
        params: dict[str, Any] = {"email": "a@b.example", "name": "Contract test"}
        if clock is not None:
            params["test_clock"] = clock.id
        if card is not None:
            params |= {"payment_method": card, "invoice_settings": {"default_payment_method": card}}
        return await self.v1.customers.create_async(params)

    async def price(self, *, cents: int = 2900, **fields: Any) -> Any:
        recurring = {"interval": "month"} | fields.pop("recurring", {})
        return await self.v1.prices.create_async(
            {
                "currency": "usd",
                "product_data": {"name": "Contract test"},
                "recurring": recurring,
                **({} if "unit_amount_decimal" in fields else {"unit_amount": cents}),
                **fields,
            }
        )

    async def subscribed(self, customer: Any, price: Any, **fields: Any) -> Any:
        items = [{"price": price.id}]
        return await self.v1.subscriptions.create_async({"customer": customer.id, "items": items, **fields})

    async def meter(self) -> Any:
        name = f"contract_{uuid4().hex[:12]}"
        return await self.v1.billing.meters.create_async(
            {"display_name": name, "event_name": name, "default_aggregation": {"formula": "sum"}}
        )

    async def invoices(self, subscription: Any) -> list[Any]:
        """Newest first."""
        return list((await self.v1.invoices.list_async({"subscription": subscription.id})).data)


def first_of_month() -> int:
    today = time.gmtime()
    return int(time.mktime((today.tm_year, today.tm_mon, 1, 12, 0, 0, 0, 0, 0)) - time.timezone)


@pytest.fixture(params=["stand-in", "stripe"])
async def party(request):
    if request.param == "stand-in":
        with running_stripe_server() as server:
            yield await opened(server.secret_key, server.base_url, is_stripe=False)
        return
    key = os.environ.get(KEY, "")
    if not key.startswith(("sk_test_", "rk_test_")):
        pytest.skip(f"Stripe itself is asked only with a test key in {KEY}")
    yield await opened(key, "https://api.stripe.com", is_stripe=True)


async def opened(key: str, url: str, *, is_stripe: bool) -> Party:
    client = stripe.StripeClient(key, http_client=stripe.HTTPXClient(), base_addresses={"api": url})
    return Party(client.v1, is_stripe=is_stripe)


async def test_a_saved_card_pays_while_its_owner_is_away(party):
    customer = await party.customer()

    intent = await party.v1.payment_intents.create_async(
        {
            "amount": 2500,
            "currency": "usd",
            "customer": customer.id,
            "payment_method": customer.invoice_settings.default_payment_method,
            "off_session": True,
            "confirm": True,
        }
    )

    assert (intent.status, intent.amount_received) == ("succeeded", 2500)


async def test_a_card_that_is_refused_says_why_and_leaves_its_intent(party):
    customer = await party.customer(card="pm_card_chargeCustomerFail")
    params = {
        "amount": 2500,
        "currency": "usd",
        "customer": customer.id,
        "payment_method": customer.invoice_settings.default_payment_method,
        "off_session": True,
        "confirm": True,
    }

    with pytest.raises(stripe.CardError) as refusal:
        await party.v1.payment_intents.create_async(params)

    assert (refusal.value.http_status, refusal.value.code) == (402, "card_declined")
    intent = await party.v1.payment_intents.retrieve_async(refusal.value.error.payment_intent.id)
    assert (intent.status, intent.last_payment_error.decline_code) == ("requires_payment_method", "generic_decline")


async def test_a_card_that_asks_its_owner_cannot_be_charged_while_they_are_away(party):
    with pytest.raises(stripe.CardError) as refusal:
        await party.v1.payment_intents.create_async(
            {
                "amount": 2500,
                "currency": "usd",
                "payment_method": "pm_card_authenticationRequired",
                "payment_method_types": ["card"],
                "off_session": True,
                "confirm": True,
            }
        )

    assert refusal.value.code == "authentication_required"


async def test_a_card_that_asks_its_owner_waits_for_them_when_they_are_there(party):
    intent = await party.v1.payment_intents.create_async(
        {
            "amount": 2500,
            "currency": "usd",
            "payment_method": "pm_card_authenticationRequired",
            "payment_method_types": ["card"],
            "confirm": True,
            "return_url": "https://shop.example/",
        }
    )

    assert (intent.status, intent.next_action.type) == ("requires_action", "redirect_to_url")


async def test_a_card_without_money_cannot_be_saved(party):
    customer = await party.customer(card=None)

    with pytest.raises(stripe.CardError) as refusal:
        await party.v1.payment_methods.attach_async(
            "pm_card_visa_chargeDeclinedInsufficientFunds", {"customer": customer.id}
        )

    assert refusal.value.error.decline_code == "insufficient_funds"


async def test_a_setup_intent_saves_a_card(party):
    customer = await party.customer(card=None)

    setup = await party.v1.setup_intents.create_async(
        {"customer": customer.id, "payment_method": "pm_card_visa", "payment_method_types": ["card"], "confirm": True}
    )

    saved = await party.v1.customers.payment_methods.list_async(customer.id)
    assert setup.status == "succeeded"
    assert [method.id for method in saved.data] == [setup.payment_method]


async def test_a_method_that_is_taken_away_is_no_longer_the_default(party):
    customer = await party.customer()

    await party.v1.payment_methods.detach_async(customer.invoice_settings.default_payment_method)

    found = await party.v1.customers.retrieve_async(customer.id)
    assert found.invoice_settings.default_payment_method is None


async def test_a_period_of_a_subscription_is_invoiced_after_an_hour_of_draft(party):
    clock = await party.clock()
    subscription = await party.subscribed(await party.customer(clock=clock), await party.price())
    (first,) = await party.invoices(subscription)
    assert (subscription.status, first.status, first.billing_reason) == ("active", "paid", "subscription_create")

    ends_at = subscription["items"].data[0].current_period_end
    await party.advance(clock, days=(ends_at - clock.frozen_time) / DAY_S + 0.02)
    newest = (await party.invoices(subscription))[0]
    assert (newest.status, newest.billing_reason, newest.amount_due) == ("draft", "subscription_cycle", 2900)

    await party.advance(clock, days=0.1)
    newest = (await party.invoices(subscription))[0]
    assert (newest.status, newest.amount_paid) == ("paid", 2900)


async def test_a_declined_period_is_past_due_and_paid_when_the_card_is_replaced(party):
    clock = await party.clock()
    customer = await party.customer(clock=clock)
    subscription = await party.subscribed(customer, await party.price())
    failing = await party.v1.payment_methods.attach_async("pm_card_chargeCustomerFail", {"customer": customer.id})
    await party.v1.customers.update_async(customer.id, {"invoice_settings": {"default_payment_method": failing.id}})

    await party.advance(clock, days=31.2)
    unpaid = (await party.invoices(subscription))[0]
    assert (await party.v1.subscriptions.retrieve_async(subscription.id)).status == "past_due"
    assert (unpaid.status, unpaid.attempt_count) == ("open", 1)

    good = await party.v1.payment_methods.attach_async("pm_card_mastercard", {"customer": customer.id})
    await party.v1.invoices.pay_async(unpaid.id, {"payment_method": good.id})

    assert (await party.v1.subscriptions.retrieve_async(subscription.id)).status == "active"


async def test_an_upgrade_in_the_middle_of_a_period_costs_the_difference_for_the_rest(party):
    clock = await party.clock()
    subscription = await party.subscribed(await party.customer(clock=clock), await party.price(cents=2900))
    item = subscription["items"].data[0]
    half = item.current_period_start + (item.current_period_end - item.current_period_start) // 2
    dear = await party.price(cents=9900)
    change = {"items": [{"id": item.id, "price": dear.id}], "proration_behavior": "always_invoice"}

    preview = await party.v1.invoices.create_preview_async(
        {"subscription": subscription.id, "subscription_details": {**change, "proration_date": half}}
    )
    await party.advance(clock, days=(half - clock.frozen_time) / DAY_S)
    await party.v1.subscriptions.update_async(subscription.id, {**change, "proration_date": half})

    billed = (await party.invoices(subscription))[0]
    assert (preview.amount_due, billed.amount_paid, billed.billing_reason) == (3500, 3500, "subscription_update")
    assert sorted(line.amount for line in billed.lines.data) == [-1450, 4950]


async def test_without_proration_a_change_costs_nothing_until_the_next_period(party):
    clock = await party.clock()
    subscription = await party.subscribed(await party.customer(clock=clock), await party.price(cents=2900))
    dear = await party.price(cents=9900)
    items = [{"id": subscription["items"].data[0].id, "price": dear.id}]

    await party.v1.subscriptions.update_async(subscription.id, {"items": items, "proration_behavior": "none"})
    assert len(await party.invoices(subscription)) == 1

    await party.advance(clock, days=31.2)
    assert (await party.invoices(subscription))[0].amount_paid == 9900


async def test_more_seats_are_prorated_onto_the_next_invoice(party):
    clock = await party.clock()
    subscription = await party.subscribed(await party.customer(clock=clock), await party.price(cents=1000))
    item = subscription["items"].data[0]
    half = (item.current_period_end - item.current_period_start) / 2
    await party.advance(clock, days=half / DAY_S)

    await party.v1.subscriptions.update_async(subscription.id, {"items": [{"id": item.id, "quantity": 3}]})
    await party.advance(clock, days=16)

    assert (await party.invoices(subscription))[0].amount_paid == 3 * 1000 + 1500 - 500


async def test_a_cancellation_at_the_end_of_the_period_can_be_taken_back_until_then(party):
    clock = await party.clock()
    subscription = await party.subscribed(await party.customer(clock=clock), await party.price())
    asked = await party.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
    assert asked.cancel_at == subscription["items"].data[0].current_period_end

    await party.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": False})
    await party.advance(clock, days=31.2)
    assert (await party.v1.subscriptions.retrieve_async(subscription.id)).status == "active"

    await party.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
    await party.advance(clock, days=31.2)
    ended = await party.v1.subscriptions.retrieve_async(subscription.id)
    assert (ended.status, len(await party.invoices(subscription))) == ("canceled", 2)


async def test_a_trial_costs_nothing_and_ends_in_a_first_period(party):
    clock = await party.clock()
    customer = await party.customer(clock=clock)
    subscription = await party.subscribed(customer, await party.price(), trial_period_days=7)
    (first,) = await party.invoices(subscription)
    assert (subscription.status, first.amount_due, first.status) == ("trialing", 0, "paid")

    await party.advance(clock, days=7.2)

    assert (await party.v1.subscriptions.retrieve_async(subscription.id)).status == "active"
    assert (await party.invoices(subscription))[0].amount_paid == 2900


async def test_a_trial_without_a_card_is_paused_if_that_was_asked_for(party):
    clock = await party.clock()
    customer = await party.customer(clock=clock, card=None)
    settings = {"end_behavior": {"missing_payment_method": "pause"}}
    subscription = await party.subscribed(customer, await party.price(), trial_period_days=7, trial_settings=settings)

    await party.advance(clock, days=7.2)

    assert (await party.v1.subscriptions.retrieve_async(subscription.id)).status == "paused"


async def test_usage_is_billed_when_its_period_has_ended(party):
    clock = await party.clock()
    customer, meter = await party.customer(clock=clock), await party.meter()
    price = await party.price(unit_amount_decimal="2.5", recurring={"usage_type": "metered", "meter": meter.id})
    subscription = await party.subscribed(customer, price)
    await party.advance(clock, days=1)
    for value in ("100", "21"):
        await party.v1.billing.meter_events.create_async(
            {
                "event_name": meter.event_name,
                "identifier": uuid4().hex,
                "payload": {"stripe_customer_id": customer.id, "value": value},
                "timestamp": clock.frozen_time + DAY_S // 2,
            }
        )
    window = {"start_time": clock.frozen_time, "end_time": clock.frozen_time + DAY_S}

    async def counted() -> bool:
        found = await party.v1.billing.meters.event_summaries.list_async(meter.id, {"customer": customer.id, **window})
        return bool(found.data) and found.data[0].aggregated_value == 121

    await party.until(counted)
    await party.advance(clock, days=30.2)

    # 121 times 2.5 cents are 302.5 cents; the half is rounded up once for the line.
    assert (await party.invoices(subscription))[0].amount_due == 303


async def test_an_identifier_is_counted_once(party):
    customer, meter = await party.customer(card=None), await party.meter()
    event = {
        "event_name": meter.event_name,
        "identifier": uuid4().hex,
        "payload": {"stripe_customer_id": customer.id, "value": "7"},
    }
    await party.v1.billing.meter_events.create_async(event)

    with pytest.raises(stripe.InvalidRequestError):
        await party.v1.billing.meter_events.create_async(event)


@pytest.mark.parametrize("age_s", [-400, 36 * DAY_S])
async def test_usage_of_the_future_or_of_long_ago_is_refused(party, age_s):
    customer, meter = await party.customer(card=None), await party.meter()

    with pytest.raises(stripe.InvalidRequestError):
        await party.v1.billing.meter_events.create_async(
            {
                "event_name": meter.event_name,
                "payload": {"stripe_customer_id": customer.id, "value": "7"},
                "timestamp": int(time.time()) - age_s,
            }
        )


async def test_a_metered_price_needs_a_meter(party):
    with pytest.raises(stripe.InvalidRequestError):
        await party.price(recurring={"usage_type": "metered"})


async def test_a_credit_note_takes_money_off_an_open_invoice(party):
    customer = await party.customer()
    await party.v1.invoice_items.create_async({"customer": customer.id, "amount": 5000, "currency": "usd"})
    draft = await party.v1.invoices.create_async(
        {"customer": customer.id, "pending_invoice_items_behavior": "include", "auto_advance": False}
    )
    await party.v1.invoices.finalize_invoice_async(draft.id)

    note = await party.v1.credit_notes.create_async({"invoice": draft.id, "amount": 2000})
    paid = await party.v1.invoices.pay_async(draft.id)

    assert (note.pre_payment_amount, paid.amount_paid, paid.status) == (2000, 3000, "paid")


async def test_an_invoice_can_be_voided_or_given_up(party):
    customer, statuses = await party.customer(card=None), []
    for end in ("void_invoice_async", "mark_uncollectible_async"):
        await party.v1.invoice_items.create_async({"customer": customer.id, "amount": 5000, "currency": "usd"})
        draft = await party.v1.invoices.create_async(
            {"customer": customer.id, "pending_invoice_items_behavior": "include", "auto_advance": False}
        )
        await party.v1.invoices.finalize_invoice_async(draft.id)
        statuses.append((await getattr(party.v1.invoices, end)(draft.id)).status)

    assert statuses == ["void", "uncollectible"]


async def test_a_key_with_other_parameters_is_refused(party):
    options = {"idempotency_key": uuid4().hex}
    first = await party.v1.customers.create_async({"name": "a"}, options)
    again = await party.v1.customers.create_async({"name": "a"}, options)

    assert first.id == again.id
    with pytest.raises(stripe.IdempotencyError):
        await party.v1.customers.create_async({"name": "b"}, options)


async def test_what_is_not_there_is_404(party):
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await party.v1.subscriptions.retrieve_async("sub_nobody")

    assert (refusal.value.http_status, refusal.value.code) == (404, "resource_missing")


async def test_a_portal_session_opens_for_a_customer(party):
    customer = await party.customer(card=None)
    configuration = await party.v1.billing_portal.configurations.create_async(
        {
            "features": {
                "invoice_history": {"enabled": True},
                "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
            }
        }
    )

    session = await party.v1.billing_portal.sessions.create_async(
        {"customer": customer.id, "configuration": configuration.id, "return_url": "https://shop.example/"}
    )

    assert session.url.startswith("http")

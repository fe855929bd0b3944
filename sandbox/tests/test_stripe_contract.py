"""What billing relies on in Stripe, held against the stand-in and, with a test key, against Stripe itself.

`FAREGATE_TEST_STRIPE_KEY=sk_test_… pytest sandbox/tests/test_stripe_contract.py` runs both. Everything is made anew and
lives by test clocks, so that months pass in seconds.
"""

import time
from uuid import uuid4

import pytest
import stripe

from sandbox.fixtures_contract import DAY_S

pytest_plugins = ["sandbox.fixtures_contract"]


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


async def test_tax_settings_say_whether_taxes_can_be_computed_and_registrations_where(party):
    settings = await party.v1.tax.settings.retrieve_async()
    registrations = await party.v1.tax.registrations.list_async({"status": "active", "limit": 100})

    pending = settings.status_details.to_dict().get("pending") or {}
    assert (settings.status, bool(pending.get("missing_fields"))) in {("active", False), ("pending", True)}
    assert settings.defaults.tax_behavior in {None, "exclusive", "inclusive", "inferred_by_currency"}
    assert {one.status for one in registrations.data} <= {"active"}

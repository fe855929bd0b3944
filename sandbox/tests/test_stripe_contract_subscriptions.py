"""The contract's part about subscriptions and their invoices; see `test_stripe_contract.py`."""

from sandbox.fixtures_contract import DAY_S

pytest_plugins = ["sandbox.fixtures_contract"]


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

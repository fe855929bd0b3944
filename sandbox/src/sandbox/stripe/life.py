"""A life in this sandbox that touches every route: what stripe-mock judges is what it asked and was answered."""

from typing import Any

import pytest

from sandbox.fixtures_stripe import StripeServer
from sandbox.stripe.life_taxed import taxed


async def _bought(v1: Any, control: Any, *, once: Any, monthly: Any, customer: Any) -> tuple[Any, Any]:
    """A bundle that is paid at the second try, a subscription, and a session that is left."""
    shop = {"success_url": "https://shop.example/{CHECKOUT_SESSION_ID}", "cancel_url": "https://shop.example/back"}
    buyer = {"customer": customer.id, "client_reference_id": "1", "metadata": {"account_id": "1"}}

    bundle = await v1.checkout.sessions.create_async(
        {
            **shop,
            **buyer,
            "mode": "payment",
            "line_items": [{"price": once.id, "quantity": 2}],
            "payment_intent_data": {"metadata": {"account_id": "1"}},
        }
    )
    control(f"/sandbox/checkout/{bundle.id}/pay", {"card": "declined"})
    control(f"/sandbox/checkout/{bundle.id}/pay")
    plan = await v1.checkout.sessions.create_async(
        {
            **shop,
            **buyer,
            "mode": "subscription",
            "line_items": [{"price": monthly.id, "quantity": 1}],
            "subscription_data": {"metadata": {"account_id": "1"}},
        }
    )
    control(f"/sandbox/checkout/{plan.id}/pay")
    left = await v1.checkout.sessions.create_async(
        {**shop, "mode": "payment", "line_items": [{"price": once.id, "quantity": 1}]}
    )
    await v1.checkout.sessions.expire_async(left.id)
    await v1.checkout.sessions.line_items.list_async(plan.id)
    return bundle, plan


async def _paid_by_saved_cards(v1: Any, control: Any, *, customer: Any) -> None:
    """Cards saved and taken away, intents in every state, a tax id."""
    card = await v1.payment_methods.create_async({"type": "card", "card": {"token": "tok_visa"}})
    await v1.payment_methods.attach_async(card.id, {"customer": customer.id})
    await v1.payment_methods.retrieve_async(card.id)
    await v1.payment_methods.list_async({"customer": customer.id})
    await v1.customers.payment_methods.list_async(customer.id, {"type": "card"})
    spare = await v1.payment_methods.attach_async("pm_card_mastercard", {"customer": customer.id})
    await v1.payment_methods.detach_async(spare.id)
    setup = await v1.setup_intents.create_async({"customer": customer.id, "usage": "off_session"})
    await v1.setup_intents.confirm_async(setup.id, {"payment_method": "pm_card_authenticationRequired"})
    control(f"/sandbox/setup_intents/{setup.id}/authenticate")
    await v1.setup_intents.cancel_async((await v1.setup_intents.create_async({})).id)
    await v1.setup_intents.retrieve_async(setup.id)
    wanted = {"amount": 700, "currency": "usd", "customer": customer.id, "payment_method": card.id}
    intent = await v1.payment_intents.create_async({**wanted, "metadata": {"account_id": "1"}})
    await v1.payment_intents.update_async(intent.id, {"description": "Top-up"})
    await v1.payment_intents.confirm_async(intent.id, {"off_session": True})
    left = await v1.payment_intents.create_async(wanted)
    await v1.payment_intents.cancel_async(left.id, {"cancellation_reason": "abandoned"})
    asked = {"amount": 700, "currency": "usd", "confirm": True, "return_url": "https://shop.example/"}
    await v1.payment_intents.create_async({**asked, "payment_method": "pm_card_authenticationRequired"})
    await v1.payment_intents.create_async({**asked, "payment_method": "pm_usBankAccount_success"})
    control(f"/sandbox/payment_methods/{card.id}", {"charge": "insufficient_funds"})
    with pytest.raises(pytest.importorskip("stripe").CardError):
        await v1.payment_intents.create_async({**wanted, "off_session": True, "confirm": True})
    control(f"/sandbox/payment_methods/{card.id}", {"charge": "succeeded"})
    await v1.customers.update_async(customer.id, {"invoice_settings": {"default_payment_method": card.id}})
    owner = {"type": "customer", "customer": customer.id}
    tax_id = await v1.tax_ids.create_async({"type": "eu_vat", "value": "DE123456789", "owner": owner})
    await v1.tax_ids.retrieve_async(tax_id.id)
    await v1.tax_ids.delete_async(
        (await v1.tax_ids.create_async({"type": "us_ein", "value": "12-3456789", "owner": owner})).id
    )


async def _metered_life(v1: Any) -> None:
    """A year's worth of what may happen to a subscription, by a clock of its own."""
    clock = await v1.test_helpers.test_clocks.create_async({"frozen_time": 1_790_000_000, "name": "judge"})
    settings = {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}
    customer = await v1.customers.create_async({"test_clock": clock.id, **settings})
    meter = await v1.billing.meters.create_async(
        {"display_name": "Overage", "event_name": "overage", "default_aggregation": {"formula": "sum"}}
    )
    await v1.billing.meters.update_async(meter.id, {"display_name": "Tokens past the plan"})
    await v1.billing.meters.deactivate_async(meter.id)
    await v1.billing.meters.reactivate_async(meter.id)
    await v1.billing.meters.retrieve_async(meter.id)
    fixed = {"currency": "usd", "product_data": {"name": "Pro"}}
    plain = await v1.prices.create_async({**fixed, "unit_amount": 2900, "recurring": {"interval": "month"}})
    metered = await v1.prices.create_async(
        {
            **fixed,
            "unit_amount_decimal": "0.02",
            "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
        }
    )
    made = await v1.subscriptions.create_async({"customer": customer.id, "items": [{"price": plain.id, "quantity": 2}]})
    item = await v1.subscription_items.create_async({"subscription": made.id, "price": metered.id})
    seats = made["items"].data[0]
    await v1.subscription_items.list_async({"subscription": made.id})
    await v1.subscription_items.retrieve_async(item.id)
    await v1.invoices.create_preview_async(
        {"subscription": made.id, "subscription_details": {"items": [{"id": seats.id, "quantity": 3}]}}
    )
    await v1.subscription_items.update_async(seats.id, {"quantity": 3, "proration_behavior": "always_invoice"})
    await v1.subscription_items.update_async(seats.id, {"quantity": 4})
    usage = {"event_name": "overage", "payload": {"stripe_customer_id": customer.id, "value": "40000"}}
    await v1.billing.meter_events.create_async({**usage, "identifier": "a", "timestamp": 1_790_000_000})
    await v1.billing.meter_events.create_async({**usage, "identifier": "b", "timestamp": 1_790_000_000})
    await v1.billing.meter_event_adjustments.create_async(
        {"event_name": "overage", "type": "cancel", "cancel": {"identifier": "b"}}
    )
    window = {"start_time": 1_789_999_200, "end_time": 1_790_002_800, "value_grouping_window": "hour"}
    await v1.billing.meters.event_summaries.list_async(meter.id, {"customer": customer.id, **window})
    await v1.test_helpers.test_clocks.advance_async(clock.id, {"frozen_time": 1_790_000_000 + 32 * 86400})
    await v1.test_helpers.test_clocks.retrieve_async(clock.id)
    await v1.subscription_items.delete_async(item.id)
    trial = await v1.subscriptions.create_async(
        {
            "customer": (await v1.customers.create_async({"test_clock": clock.id})).id,
            "items": [{"price": plain.id}],
            "trial_period_days": 3,
            "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}},
        }
    )
    await v1.test_helpers.test_clocks.advance_async(clock.id, {"frozen_time": 1_790_000_000 + 36 * 86400})
    await v1.subscriptions.resume_async(trial.id)
    gone = await v1.test_helpers.test_clocks.create_async({"frozen_time": 1_790_000_000})
    await v1.test_helpers.test_clocks.delete_async(gone.id)


async def _invoiced_by_hand(v1: Any, *, customer: Any) -> None:
    """Invoices without a subscription: paid, voided, given up, noted down, thrown away."""

    async def draft() -> Any:
        await v1.invoice_items.create_async({"customer": customer.id, "amount": 900, "currency": "usd"})
        return await v1.invoices.create_async({"customer": customer.id, "pending_invoice_items_behavior": "include"})

    first = await draft()
    await v1.invoices.update_async(first.id, {"description": "By hand", "metadata": {"account_id": "1"}})
    await v1.invoices.finalize_invoice_async(first.id, {"auto_advance": False})
    note = await v1.credit_notes.create_async({"invoice": first.id, "amount": 100, "reason": "order_change"})
    await v1.credit_notes.void_credit_note_async(note.id)
    await v1.invoices.pay_async(first.id)
    await v1.invoices.line_items.list_async(first.id)
    await v1.credit_notes.create_async({"invoice": first.id, "amount": 200, "refund_amount": 150, "credit_amount": 50})
    await v1.credit_notes.retrieve_async(note.id)
    for end in (v1.invoices.void_invoice_async, v1.invoices.mark_uncollectible_async):
        one = await draft()
        await v1.invoices.finalize_invoice_async(one.id)
        await end(one.id)
    await v1.invoices.delete_async((await v1.invoices.create_async({"customer": customer.id})).id)
    waiting = await v1.invoice_items.create_async({"customer": customer.id, "amount": 900, "currency": "usd"})
    await v1.invoice_items.retrieve_async(waiting.id)
    await v1.invoice_items.delete_async(waiting.id)


async def _self_served(v1: Any, *, customer: Any) -> None:
    configuration = await v1.billing_portal.configurations.create_async(
        {"features": {"invoice_history": {"enabled": True}}, "default_return_url": "https://shop.example/"}
    )
    await v1.billing_portal.configurations.update_async(
        configuration.id, {"features": {"subscription_cancel": {"enabled": True}}}
    )
    await v1.billing_portal.configurations.retrieve_async(configuration.id)
    await v1.billing_portal.sessions.create_async({"customer": customer.id})


async def _looked_at(v1: Any, *, customer: Any, product: Any, price: Any) -> None:
    """Every list, and one of each that has been made."""
    event = (await v1.events.list_async({"types": ["invoice.paid"], "created": {"gte": 1}})).data[0]
    await v1.events.retrieve_async(event.id)
    for kind, ident in ((v1.customers, customer.id), (v1.products, product.id), (v1.prices, price.id)):
        await kind.retrieve_async(ident)
    for kind in (v1.customers, v1.products, v1.prices, v1.checkout.sessions, v1.payment_intents, v1.charges):
        await kind.list_async({"limit": 100})
    for kind in (v1.balance_transactions, v1.invoices, v1.invoice_payments, v1.refunds, v1.disputes, v1.events):
        await kind.list_async({"limit": 100})
    for kind in (v1.setup_intents, v1.tax_ids, v1.invoice_items, v1.credit_notes, v1.billing.meters):
        await kind.list_async({"limit": 100})
    for kind in (v1.billing_portal.configurations, v1.test_helpers.test_clocks):
        await kind.list_async({"limit": 100})
    await v1.subscriptions.list_async({"limit": 100, "status": "all"})


async def _monthly(v1: Any) -> Any:
    return await v1.prices.create_async(
        {
            "currency": "usd",
            "unit_amount": 500,
            "product_data": {"name": "Small"},
            "recurring": {"interval": "month"},
        }
    )


async def lived(v1: Any, server: StripeServer) -> None:
    """All of it; what it asked is in the request log."""
    control = server.control
    await v1.subscriptions.create_async(
        {
            "customer": (await v1.customers.create_async({"payment_method": "pm_card_visa"})).id,
            "items": [{"price": (await _monthly(v1)).id}],
            "payment_behavior": "default_incomplete",
        }
    )
    product = await v1.products.create_async({"name": "Pro", "description": "All of it", "metadata": {"plan": "pro"}})
    fixed = {"product": product.id, "currency": "usd"}
    monthly = await v1.prices.create_async(
        {**fixed, "unit_amount": 2900, "recurring": {"interval": "month"}, "lookup_key": "pro"}
    )
    once = await v1.prices.create_async({**fixed, "unit_amount": 1000, "nickname": "bundle_10"})
    await v1.products.update_async(product.id, {"default_price": once.id})
    await v1.prices.update_async(once.id, {"metadata": {"credits": "10"}})
    customer = await v1.customers.create_async({"email": "a@b.example", "metadata": {"account_id": "1"}})
    await v1.customers.update_async(customer.id, {"name": "Ada"})
    bundle, plan = await _bought(v1, control, once=once, monthly=monthly, customer=customer)

    paid = await v1.checkout.sessions.retrieve_async(
        bundle.id, {"expand": ["payment_intent.latest_charge", "line_items"]}
    )
    charge = paid.payment_intent.latest_charge
    await v1.payment_intents.retrieve_async(charge.payment_intent, {"expand": ["latest_charge.balance_transaction"]})
    await v1.charges.retrieve_async(charge.id, {"expand": ["refunds"]})
    await v1.balance_transactions.retrieve_async(charge.balance_transaction)
    refund = await v1.refunds.create_async({"payment_intent": charge.payment_intent, "amount": 500})
    await v1.refunds.retrieve_async(refund.id)

    subscribed = await v1.checkout.sessions.retrieve_async(plan.id)
    control(f"/sandbox/subscriptions/{subscribed.subscription}/renew", {"outcome": "failed"})
    await v1.subscriptions.retrieve_async(subscribed.subscription, {"expand": ["latest_invoice"]})
    invoice = await v1.invoices.retrieve_async(subscribed.invoice, {"expand": ["payments"]})
    await v1.invoice_payments.retrieve_async(invoice.payments.data[0].id)
    control(f"/sandbox/charges/{charge.id}/dispute")
    dispute = (await v1.disputes.list_async({"charge": charge.id})).data[0]
    await v1.disputes.retrieve_async(dispute.id)
    control(f"/sandbox/disputes/{dispute.id}/close", {"outcome": "won"})
    await v1.subscriptions.update_async(subscribed.subscription, {"cancel_at_period_end": True})
    await v1.subscriptions.cancel_async(subscribed.subscription)
    await _paid_by_saved_cards(v1, control, customer=customer)
    await _metered_life(v1)
    await _invoiced_by_hand(v1, customer=customer)
    await _self_served(v1, customer=customer)
    await taxed(v1, control, once=once, monthly=monthly)

    await _looked_at(v1, customer=customer, product=product, price=once)

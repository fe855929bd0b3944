"""The part of that life in which Stripe computes taxes."""

from typing import Any


async def taxed(v1: Any, control: Any, *, once: Any, monthly: Any) -> None:
    """Settings, registrations, a calculation; a checkout, a subscription, an invoice and a payment with taxes."""
    await v1.tax.settings.retrieve_async()
    await v1.tax.settings.update_async(
        {"defaults": {"tax_behavior": "exclusive"}, "head_office": {"address": {"country": "DE"}}}
    )
    options = {"de": {"type": "standard", "standard": {"place_of_supply_scheme": "standard"}}}
    registration = await v1.tax.registrations.create_async(
        {"active_from": "now", "country": "DE", "country_options": options}
    )
    await v1.tax.registrations.retrieve_async(registration.id)
    await v1.tax.registrations.list_async({"status": "active"})
    saved = {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}
    customer = await v1.customers.create_async({**saved, "address": {"country": "DE"}})
    await _paid(v1, customer=customer)
    await _checked_out(v1, control, once=once)
    subscription = await v1.subscriptions.create_async(
        {"customer": customer.id, "items": [{"price": monthly.id}], "automatic_tax": {"enabled": True}}
    )
    await v1.invoices.create_preview_async({"subscription": subscription.id, "automatic_tax": {"enabled": True}})
    await v1.invoice_items.create_async({"customer": customer.id, "amount": 900, "currency": "usd"})
    invoice = await v1.invoices.create_async(
        {"customer": customer.id, "pending_invoice_items_behavior": "include", "automatic_tax": {"enabled": True}}
    )
    await v1.invoices.finalize_invoice_async(invoice.id)
    await v1.subscriptions.update_async(subscription.id, {"automatic_tax": {"enabled": False}})
    await v1.tax.registrations.update_async(registration.id, {"expires_at": "now"})


async def _paid(v1: Any, *, customer: Any) -> None:
    line = {"amount": 1000, "reference": "top-up"}
    calculation = await v1.tax.calculations.create_async(
        {"currency": "usd", "customer": customer.id, "line_items": [line]}
    )
    await v1.tax.calculations.create_async(
        {
            "currency": "usd",
            "customer_details": {"address": {"country": "FR"}, "address_source": "billing"},
            "line_items": [line],
        }
    )
    await v1.tax.calculations.retrieve_async(calculation.id)
    await v1.tax.calculations.line_items.list_async(calculation.id)
    card = (await v1.payment_methods.list_async({"customer": customer.id})).data[0]
    await v1.payment_intents.create_async(
        {
            "amount": calculation.amount_total,
            "currency": "usd",
            "customer": customer.id,
            "payment_method": card.id,
            "off_session": True,
            "confirm": True,
            "hooks": {"inputs": {"tax": {"calculation": calculation.id}}},
        }
    )


async def _checked_out(v1: Any, control: Any, *, once: Any) -> None:
    customer = await v1.customers.create_async({"email": "b@b.example"})
    session = await v1.checkout.sessions.create_async(
        {
            "success_url": "https://shop.example/",
            "mode": "payment",
            "customer": customer.id,
            "customer_update": {"address": "auto", "name": "auto"},
            "automatic_tax": {"enabled": True},
            "tax_id_collection": {"enabled": True},
            "billing_address_collection": "required",
            "line_items": [{"price": once.id, "quantity": 1}],
        }
    )
    control(f"/sandbox/checkout/{session.id}/pay", {"country": "DE"})

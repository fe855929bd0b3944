"""Taxes of the stand-in: none without a registration, on top or inside as told, never for a buyer who is nowhere."""

import pytest
import stripe

pytest_plugins = ["sandbox.fixtures_stripe"]

GERMAN = {"de": {"type": "standard", "standard": {"place_of_supply_scheme": "standard"}}}
HOME = {"success_url": "https://shop.example/", "mode": "payment"}


async def registered(v1, behaviour="exclusive"):
    await v1.tax.settings.update_async(
        {"defaults": {"tax_behavior": behaviour}, "head_office": {"address": {"country": "DE"}}}
    )
    return await v1.tax.registrations.create_async({"active_from": "now", "country": "DE", "country_options": GERMAN})


async def priced(v1, **fields):
    product = await v1.products.create_async({"name": "Pro"})
    return await v1.prices.create_async({"product": product.id, "currency": "usd", "unit_amount": 2900, **fields})


async def checkout(v1, control, *, price, country, **fields):
    customer = await v1.customers.create_async({})
    session = await v1.checkout.sessions.create_async(
        {
            **HOME,
            "customer": customer.id,
            "customer_update": {"address": "auto"},
            "automatic_tax": {"enabled": True},
            "line_items": [{"price": price.id, "quantity": 1}],
            **fields,
        }
    )
    paid = control(f"/sandbox/checkout/{session.id}/pay", {"country": country} if country else {})
    return customer, paid


async def test_settings_are_pending_until_the_head_office_is_known(stripe_client):
    v1 = stripe_client.v1

    before = await v1.tax.settings.retrieve_async()
    await registered(v1)
    after = await v1.tax.settings.retrieve_async()

    assert (before.status, before.status_details.pending.missing_fields) == ("pending", ["head_office"])
    assert (after.status, after.defaults.tax_behavior) == ("active", "exclusive")


async def test_a_registration_is_active_until_it_expires(stripe_client):
    v1 = stripe_client.v1
    made = await registered(v1)

    await v1.tax.registrations.update_async(made.id, {"expires_at": "now"})

    assert made.status == "active"
    assert (await v1.tax.registrations.list_async({"status": "active"})).data == []
    assert [one.id for one in (await v1.tax.registrations.list_async({"status": "expired"})).data] == [made.id]


async def test_a_registration_says_what_kind_it_is(stripe_client):
    with pytest.raises(stripe.InvalidRequestError, match="country_options"):
        await stripe_client.v1.tax.registrations.create_async(
            {"active_from": "now", "country": "FR", "country_options": GERMAN}
        )


@pytest.mark.parametrize(
    ("behaviour", "country", "total", "tax"),
    [("exclusive", "DE", 3451, 551), ("inclusive", "DE", 2900, 463), ("exclusive", "FR", 2900, 0)],
)
async def test_a_checkout_adds_the_tax_of_the_buyers_country(
    stripe_client, stripe_server, behaviour, country, total, tax
):
    v1 = stripe_client.v1
    await registered(v1, behaviour)

    customer, paid = await checkout(v1, stripe_server.control, price=await priced(v1), country=country)

    assert (paid["amount_total"], paid["total_details"]["amount_tax"]) == (total, tax)
    assert paid["automatic_tax"]["status"] == "complete"
    intent = await v1.payment_intents.retrieve_async(paid["payment_intent"])
    assert intent.amount_received == total
    assert (await v1.customers.retrieve_async(customer.id)).address.country == country


async def test_a_price_may_say_itself_whether_its_tax_is_inside(stripe_client, stripe_server):
    v1 = stripe_client.v1
    await registered(v1)
    price = await priced(v1, tax_behavior="inclusive")

    _, paid = await checkout(v1, stripe_server.control, price=price, country="DE")

    assert (paid["amount_total"], paid["total_details"]["amount_tax"]) == (2900, 463)


async def test_without_any_word_on_whether_tax_is_inside_nothing_is_sold(stripe_client, stripe_server):
    v1 = stripe_client.v1
    await v1.tax.settings.update_async({"head_office": {"address": {"country": "DE"}}})

    with pytest.raises(stripe.InvalidRequestError, match="tax_behavior"):
        await checkout(v1, stripe_server.control, price=await priced(v1), country="DE")


async def test_a_buyer_who_does_not_say_where_they_are_cannot_pay(stripe_client, stripe_server):
    v1 = stripe_client.v1
    await registered(v1)

    with pytest.raises(AssertionError, match="customer_tax_location_invalid"):
        await checkout(v1, stripe_server.control, price=await priced(v1), country=None)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"automatic_tax": {"enabled": True}}, "automatic_tax"),
        ({"tax_id_collection": {"enabled": True}}, "tax_id_collection"),
    ],
)
async def test_what_stripe_wants_beside_taxes_of_a_known_customer_is_asked_for(stripe_client, fields, param):
    v1 = stripe_client.v1
    await registered(v1)
    customer, price = await v1.customers.create_async({}), await priced(v1)
    wanted = {**HOME, "customer": customer.id, "line_items": [{"price": price.id, "quantity": 1}]}

    with pytest.raises(stripe.InvalidRequestError) as refused:
        await v1.checkout.sessions.create_async({**wanted, **fields})

    assert refused.value.param == param


async def test_a_setup_computes_nothing(stripe_client):
    wanted = {"success_url": "https://shop.example/", "mode": "setup", "currency": "usd"}

    with pytest.raises(stripe.InvalidRequestError, match="setup"):
        await stripe_client.v1.checkout.sessions.create_async({**wanted, "automatic_tax": {"enabled": True}})


async def test_a_subscriptions_invoices_carry_taxes_until_its_customer_is_nowhere(stripe_client, stripe_server):
    v1 = stripe_client.v1
    await registered(v1)
    price = await priced(v1, recurring={"interval": "month"})
    customer, paid = await checkout(v1, stripe_server.control, price=price, country="DE", mode="subscription")
    first = await v1.invoices.retrieve_async(paid["invoice"])

    await v1.customers.update_async(customer.id, {"address": {"country": ""}})
    stripe_server.control(f"/sandbox/subscriptions/{paid['subscription']}/renew")
    subscription = await v1.subscriptions.retrieve_async(paid["subscription"], {"expand": ["latest_invoice"]})

    assert (first.subtotal, first.total, first.amount_paid) == (2900, 3451, 3451)
    assert [(tax.amount, tax.tax_behavior) for tax in first.total_taxes] == [(551, "exclusive")]
    assert (subscription.latest_invoice.total, subscription.latest_invoice.automatic_tax.enabled) == (2900, False)
    assert subscription.automatic_tax.disabled_reason == "requires_location_inputs"


async def test_a_payment_takes_what_its_calculation_says(stripe_client):
    v1 = stripe_client.v1
    await registered(v1)
    customer = await v1.customers.create_async({"payment_method": "pm_card_visa", "address": {"country": "DE"}})
    calculation = await v1.tax.calculations.create_async(
        {"currency": "usd", "customer": customer.id, "line_items": [{"amount": 1000, "reference": "top-up"}]}
    )
    card = (await v1.payment_methods.list_async({"customer": customer.id})).data[0]
    wanted = {"currency": "usd", "customer": customer.id, "payment_method": card.id, "confirm": True}
    hooks = {"inputs": {"tax": {"calculation": calculation.id}}}

    with pytest.raises(stripe.InvalidRequestError, match="tax calculation"):
        await v1.payment_intents.create_async({**wanted, "amount": 1000, "hooks": hooks})
    paid = await v1.payment_intents.create_async({**wanted, "amount": 1190, "hooks": hooks})

    assert (calculation.amount_total, calculation.tax_amount_exclusive) == (1190, 190)
    assert (paid.amount_received, paid.hooks.inputs.tax.calculation) == (1190, calculation.id)


async def test_nobody_computes_for_a_customer_who_is_nowhere(stripe_client):
    v1 = stripe_client.v1
    await registered(v1)
    customer = await v1.customers.create_async({})

    with pytest.raises(stripe.InvalidRequestError) as refused:
        await v1.tax.calculations.create_async(
            {"currency": "usd", "customer": customer.id, "line_items": [{"amount": 1000, "reference": "x"}]}
        )

    assert refused.value.code == "customer_tax_location_invalid"


async def test_nothing_is_computed_before_the_head_office_is_known(stripe_client):
    v1 = stripe_client.v1
    price = await priced(v1, recurring={"interval": "month"})
    customer = await v1.customers.create_async({"payment_method": "pm_card_visa", "address": {"country": "DE"}})
    taxed = {"customer": customer.id, "automatic_tax": {"enabled": True}}
    line_items = [{"price": price.id, "quantity": 1}]
    shop = {"success_url": "https://shop.example/", "mode": "subscription"}

    for ask in (
        v1.checkout.sessions.create_async({**taxed, **shop, "line_items": line_items}),
        v1.subscriptions.create_async({**taxed, "items": [{"price": price.id}]}),
        v1.invoices.create_async(taxed),
        v1.tax.calculations.create_async(
            {"currency": "usd", "customer": customer.id, "line_items": [{"amount": 1, "reference": "x"}]}
        ),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await ask
        assert refused.value.code == "stripe_tax_inactive"

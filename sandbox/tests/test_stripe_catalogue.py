"""Customers, products and prices through the official SDK."""

import pytest
import stripe

pytest_plugins = ["sandbox.fixtures_stripe"]


async def test_a_customer_is_created_found_and_changed(stripe_client):
    created = await stripe_client.v1.customers.create_async(
        {"email": "a@b.example", "name": "Ada", "metadata": {"account_id": "1", "tier": "x"}}
    )
    await stripe_client.v1.customers.update_async(created.id, {"name": "Ada L.", "metadata": {"tier": "", "seen": "y"}})

    found = await stripe_client.v1.customers.list_async({"email": "a@b.example"})

    assert [(customer.id, customer.name) for customer in found.data] == [(created.id, "Ada L.")]
    assert found.data[0].metadata.to_dict() == {"account_id": "1", "seen": "y"}
    assert (await stripe_client.v1.customers.list_async({"email": "c@d.example"})).data == []


async def test_a_change_is_announced_with_what_was_before(stripe_client):
    customer = await stripe_client.v1.customers.create_async({"name": "Ada"})
    await stripe_client.v1.customers.update_async(customer.id, {"name": "Grace"})
    await stripe_client.v1.customers.update_async(customer.id, {"name": "Grace"})

    events = (await stripe_client.v1.events.list_async({"type": "customer.updated"})).data

    assert [event.data.previous_attributes.to_dict() for event in events] == [{"name": "Ada"}]
    assert events[0].request.id.startswith("req_")


async def test_prices_are_found_by_lookup_key(stripe_client):
    product = await stripe_client.v1.products.create_async(
        {"id": "bundle_10", "name": "Bundle", "metadata": {"v": "1"}}
    )
    fixed = {"product": product.id, "currency": "USD"}
    ten = await stripe_client.v1.prices.create_async({**fixed, "unit_amount": 1000, "lookup_key": "ten"})
    await stripe_client.v1.prices.create_async({**fixed, "unit_amount": 2500, "lookup_key": "more"})

    found = await stripe_client.v1.prices.list_async({"lookup_keys": ["ten", "none"], "expand": ["data.product"]})

    assert [(price.id, price.currency, price.unit_amount, price.type) for price in found.data] == [
        (ten.id, "usd", 1000, "one_time")
    ]
    assert found.data[0].product.name == "Bundle"


async def test_a_lookup_key_moves_only_when_told_to(stripe_client):
    product = await stripe_client.v1.products.create_async({"name": "Pro"})
    shape = {"product": product.id, "currency": "usd", "unit_amount": 1000, "lookup_key": "pro"}
    old = await stripe_client.v1.prices.create_async(shape)

    with pytest.raises(stripe.InvalidRequestError):
        await stripe_client.v1.prices.create_async(shape)
    new = await stripe_client.v1.prices.create_async({**shape, "transfer_lookup_key": True})
    await stripe_client.v1.prices.update_async(old.id, {"active": False})

    found = await stripe_client.v1.prices.list_async({"lookup_keys": ["pro"]})
    assert [price.id for price in found.data] == [new.id]
    assert [price.id for price in (await stripe_client.v1.prices.list_async({"active": True})).data] == [new.id]


async def test_a_price_may_bring_its_product(stripe_client):
    price = await stripe_client.v1.prices.create_async(
        {
            "currency": "eur",
            "unit_amount": 2900,
            "recurring": {"interval": "month", "interval_count": 3},
            "product_data": {"name": "Pro", "metadata": {"plan": "pro"}},
        }
    )

    product = await stripe_client.v1.products.retrieve_async(price.product)

    assert (product.name, product.metadata["plan"]) == ("Pro", "pro")
    assert (price.recurring.interval, price.recurring.interval_count) == ("month", 3)


async def test_a_product_may_have_any_id_of_ours(stripe_client):
    await stripe_client.v1.products.create_async({"id": "pro:v2@é", "name": "Pro 2"})

    assert (await stripe_client.v1.products.retrieve_async("pro:v2@é")).name == "Pro 2"


async def test_a_product_id_is_taken_once(stripe_client):
    await stripe_client.v1.products.create_async({"id": "pro", "name": "Pro"})

    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await stripe_client.v1.products.create_async({"id": "pro", "name": "Pro"})

    assert refusal.value.code == "resource_already_exists"


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"currency": "dollars"}, 400),
        ({"unit_amount": -1}, 400),
        ({"product": "prod_nobody"}, 400),
        ({"recurring": {"interval": "fortnight"}}, 400),
        ({"recurring": {"interval": "month", "usage_type": "metered"}}, 400),
        ({"billing_scheme": "tiered"}, 501),
    ],
)
async def test_a_price_that_cannot_be_is_refused(stripe_client, wrong, status):
    await stripe_client.v1.products.create_async({"id": "pro", "name": "Pro"})

    with pytest.raises(stripe.StripeError) as refusal:
        await stripe_client.v1.prices.create_async({"product": "pro", "currency": "usd", "unit_amount": 100, **wrong})

    assert refusal.value.http_status == status

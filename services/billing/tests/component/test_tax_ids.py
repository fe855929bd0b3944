"""Tax ids by our own route: kept by Stripe, on its invoices, and nobody else's."""

EU = {"type": "eu_vat", "value": "DE123456789"}


async def test_a_tax_id_is_added_listed_and_removed(shop, customer):
    none = await shop.done(customer, "GET", "/billing/tax-ids")

    added = await shop.done(customer, "POST", "/billing/tax-ids", EU)
    shown = await shop.done(customer, "GET", "/billing/tax-ids")
    await shop.done(customer, "DELETE", f"/billing/tax-ids/{added['id']}")
    left = await shop.done(customer, "GET", "/billing/tax-ids")

    assert none == left == {"items": [], "automatic_tax": False}
    assert shown["items"] == [{**EU, "id": added["id"], "country": "DE", "verification": "pending"}]


async def test_the_same_key_adds_one(shop, customer):
    answers = [await shop.ask(customer, "POST", "/billing/tax-ids", EU, key="once") for _ in range(2)]

    assert answers[0].json() == answers[1].json()
    assert len((await shop.done(customer, "GET", "/billing/tax-ids"))["items"]) == 1


async def test_what_is_wrong_with_a_tax_id_is_named(shop, customer):
    for body, field in (
        ({"type": "eu_vat"}, "value"),
        ({"value": "DE123456789"}, "type"),
        ({**EU, "type": "EU VAT"}, "type"),
        ({**EU, "type": "xx_nothing"}, "type"),
        ({**EU, "value": "12"}, "value"),
        ({**EU, "value": "D" * 41}, "value"),
        ({**EU, "value": "DE\n123"}, "value"),
        ({**EU, "country": "DE"}, "country"),
    ):
        answer = await shop.ask(customer, "POST", "/billing/tax-ids", body)

        assert answer.status_code == 422, body
        assert answer.json()["errors"][0]["field"] == field, (body, answer.json())
    assert (await shop.done(customer, "GET", "/billing/tax-ids"))["items"] == []


async def test_another_accounts_tax_id_is_unknown(shop, customer):
    added = await shop.done(customer, "POST", "/billing/tax-ids", EU)
    other = await shop.billing.new_account()
    await shop.done(other, "POST", "/billing/tax-ids", {**EU, "value": "DE987654321"})

    answer = await shop.ask(other, "DELETE", f"/billing/tax-ids/{added['id']}")

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_tax_id")
    assert len((await shop.done(customer, "GET", "/billing/tax-ids"))["items"]) == 1

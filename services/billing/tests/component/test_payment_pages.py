"""Where a customer pays or confirms what did not go through: asked by the notifier, for the link in its mail."""

from uuid import UUID, uuid4

import httpx2

FAILED = "billing.payment-failed.v1"
SETTLED = "billing.payment-settled.v1"
PUBLIC_URL = "http://127.0.0.1:8080"
RULE = {"below": "10", "amount": "15", "daily_cap": "100", "monthly_cap": "500"}


async def test_the_notifier_gets_the_page_of_the_invoice_that_waits_for_its_customer(billing, account):
    payment_id, page = await unpaid(billing, account)

    answer = await ask(billing, account.id, payment_id, service="notifier")

    assert page.startswith(billing.stripe.base_url)
    assert (answer.status_code, answer.json()) == (200, {"url": page})


async def test_another_accounts_payment_and_one_without_an_invoice_have_no_page(billing, account):
    payment_id, _ = await unpaid(billing, account)

    foreign = await ask(billing, uuid4(), payment_id, service="notifier")
    unknown = await ask(billing, account.id, "pi_unknown", service="notifier")

    assert (foreign.json(), unknown.json()) == ({"url": None}, {"url": None})


async def test_nobody_but_the_notifier_is_told_where_somebody_pays(billing, account):
    answers = [await ask(billing, account.id, "pi_any", service=service) for service in ("ledger", None)]

    assert [(one.status_code, one.json()["code"]) for one in answers] == [
        (403, "service_not_allowed"),
        (401, "invalid_token"),
    ]


async def test_a_top_up_that_the_bank_wants_confirmed_is_paid_through_its_link_once(shop, customer):
    link = await link_of_a_paused_top_up(shop, customer)

    asked = await shop.billing.http.get(link)
    onward = await shop.billing.http.post(link)
    before = await settled(shop, customer)
    httpx2.post(onward.headers["location"], data={"action": "yes"})
    await shop.billing.eventually(lambda: settled(shop, customer), ["2500"])
    again = await shop.billing.http.post(link)
    await shop.billing.rest()

    assert ("Pay and confirm" in asked.text, "25.00 USD" in asked.text) == (True, True)
    assert onward.status_code == 303
    assert onward.headers["location"].startswith(f"{shop.billing.stripe.base_url}/authenticate/")
    assert before == []
    assert again.headers["location"] == link
    assert "is paid" in (await shop.billing.http.get(link)).text
    assert await settled(shop, customer) == ["2500"]
    assert (await shop.done(customer, "GET", "/billing/auto-top-up"))["paused"] is None


async def test_a_card_that_is_declined_while_its_owner_is_there_says_so_and_charges_nothing(shop, customer):
    link = await link_of_a_paused_top_up(shop, customer)
    await charge(shop, customer, "insufficient_funds")

    answer = await shop.billing.http.post(link)
    await shop.billing.rest()

    assert answer.status_code == 402
    assert "insufficient_funds" in answer.text
    assert await settled(shop, customer) == []


async def test_a_link_that_billing_did_not_make_confirms_nothing(shop, customer):
    link = await link_of_a_paused_top_up(shop, customer)
    path, token = link.split("token=")
    other = f"{'B' if token[0] == 'A' else 'A'}{token[1:]}"

    for forged in (f"{path}token={one}" for one in (other, f"{token}A", "", "%00%FF")):
        for method in ("GET", "POST"):
            answer = await shop.billing.http.request(method, forged)
            assert (answer.status_code, "Nothing to confirm" in answer.text) == (404, True), forged


async def link_of_a_paused_top_up(shop, customer) -> str:
    """The path of the link that the notifier mails."""
    await shop.buy(customer)
    await charge(shop, customer, "authentication_required")
    shop.books.set(customer.id, 0)
    await shop.done(customer, "PUT", "/billing/auto-top-up", RULE)

    async def reasons() -> list[str]:
        return [one["reason"] for one in await shop.billing.events(FAILED, customer.id)]

    await shop.billing.eventually(reasons, ["authentication_required"])
    (failed,) = await shop.billing.events(FAILED, customer.id)
    page = (await ask(shop.billing, customer.id, failed["payment_id"], service="notifier")).json()["url"]
    assert page.startswith(f"{PUBLIC_URL}/billing/confirm?token=")
    return page.removeprefix(PUBLIC_URL)


async def charge(shop, customer, outcome: str) -> None:
    """How the customer's card answers from now on."""
    (item,) = (await shop.done(customer, "GET", "/billing/payment-methods"))["items"]
    shop.billing.stripe.control(f"/sandbox/payment_methods/{item['id']}", {"charge": outcome})


async def settled(shop, customer) -> list[str]:
    return [one["paid_minor"] for one in await shop.billing.events(SETTLED, customer.id)]


async def unpaid(billing, account) -> tuple[str, str]:
    """A payment that did not go through, and its invoice's page."""
    session = await billing.bought(account, "starter")
    billing.stripe.control(f"/sandbox/subscriptions/{session['subscription']}/renew", {"outcome": "failed"})
    await billing.rest()
    (failed,) = await billing.events(FAILED, account.id)
    invoices = (await billing.http.get("/billing/invoices", headers=account.headers)).json()["items"]
    (page,) = [one["page_url"] for one in invoices if one["status"] == "open"]
    return failed["payment_id"], page


async def ask(billing, account_id: UUID, payment_id: str, *, service: str | None):
    """With a service's token; without one, with the owner's."""
    headers = billing.headers(account_id)
    if service is not None:
        headers = {"authorization": f"Bearer {billing.signer.service_token(service, 'billing')}"}
    return await billing.http.get(f"/internal/accounts/{account_id}/payments/{payment_id}/page", headers=headers)

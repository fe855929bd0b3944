"""Where a customer pays or confirms what did not go through: asked by the notifier, for the link in its mail."""

from uuid import UUID, uuid4

FAILED = "billing.payment-failed.v1"


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

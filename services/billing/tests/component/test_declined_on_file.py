"""What becomes of payments on file that do not go through: told to the gateways, confirmed by their customer, once."""

import json
from uuid import uuid4

import httpx2
import pytest
from accrued import hour_of_use
from faults import SOME_OR_ALL, FaultyTransport, on_calls

from billing.adapters.confirm_links import ConfirmLinks
from billing.domain.collecting import TopUpRule
from billing.service.confirming import Confirming
from billing.service.pay_per_use import PayPerUse, Wish, owe_use
from billing.service.standing import Standing
from billing.service.top_ups import TopUps

CREDIT = 10**9
VISA = {"card_brand": "visa", "card_last4": "4242"}


async def cards(counter, account_id) -> list[str]:
    """The newest first."""
    (row,) = await counter.rows("SELECT id FROM stripe_customer WHERE account_id = :id", id=account_id)
    return [one["id"] for one in counter.listed("payment_methods", customer=row.id)]


async def answers(counter, account_id, outcome: str) -> None:
    """How the newest card answers from now on."""
    newest = (await cards(counter, account_id))[0]
    counter.server.control(f"/sandbox/payment_methods/{newest}", {"charge": outcome})


async def uses(counter, outcome: str, amount_nano: int = 20 * CREDIT) -> object:
    """An account that pays per use and owes this, whose card answers so."""
    account_id = await counter.buyer()
    await answers(counter, account_id, outcome)
    async with counter.database.transaction() as session:
        await PayPerUse(counter.paths, counter.clock).start(session, Wish(account_id, "used", uuid4().hex))
    await owes(counter, account_id, amount_nano)
    await counter.collecting().once()
    return account_id


async def owes(counter, account_id, amount_nano: int, *, sequence: int = 1) -> None:
    event = hour_of_use(counter, account_id, amount_nano, sequence=sequence)
    async with counter.database.transaction() as session:
        await owe_use(session, event, now=counter.clock.now())


async def told(counter, account_id) -> dict:
    """What the ledger was last told of the account."""
    async with counter.database.transaction() as session:
        while await Standing(counter.paths).tell_due(session, now=counter.clock.now()):
            pass
    rows = await counter.rows(
        "SELECT value FROM outbox WHERE topic = 'billing.account-settings-changed.v1' AND key = :key ORDER BY id",
        key=str(account_id).encode(),
    )
    return json.loads(rows[-1].value)["data"]


def problem(reason: str) -> dict:
    return {"reason": reason, **VISA}


async def states(counter, account_id) -> list[str]:
    rows = await counter.rows(
        "SELECT state FROM charge_attempt WHERE account_id = :id ORDER BY created_at", id=account_id
    )
    return [row.state for row in rows]


def confirming(counter) -> Confirming:
    links = ConfirmLinks("a-secret", public_url="https://example.com")
    return Confirming(counter.database, counter.stripe().payments, links=links, clock=counter.clock)


async def waiting_id(counter, account_id) -> str:
    (row,) = await counter.rows(
        "SELECT payment_id FROM charge_attempt WHERE account_id = :id AND state = 'needs_action'", id=account_id
    )
    return row.payment_id


async def confirmed(counter, account_id) -> None:
    """Its customer follows the link and says yes to their bank."""
    payment_id = await waiting_id(counter, account_id)
    link = await confirming(counter).find_page(account_id, payment_id)
    bank = await confirming(counter).begin(link.partition("token=")[2])
    httpx2.post(bank, data={"action": "yes"})
    await counter.hear()


async def test_gateways_hear_of_the_card_that_did_not_pay_for_use_until_it_does(counter):
    account_id = await uses(counter, "insufficient_funds")

    declined = await told(counter, account_id)
    await answers(counter, account_id, "succeeded")
    counter.clock.advance(2 * 3600)
    await counter.change_rows("UPDATE account_settings SET use_look_at = now() - interval '1 day'")
    await counter.collecting().once()
    paid = await told(counter, account_id)

    assert (declined["payment_problem"], declined["overage_ceiling_nano"]) == (problem("insufficient_funds"), "0")
    assert paid["payment_problem"] is None
    assert await counter.taken(account_id) == [2000]


async def runs_low(counter, account_id) -> None:
    """It tops up by itself, and has to."""
    counter.books.set(account_id, 2 * CREDIT)
    async with counter.database.transaction() as session:
        rule = TopUpRule(5 * CREDIT, 2000, 5000, 20000)
        await TopUps(counter.paths, counter.clock).set_rule(session, account_id, rule)
    await counter.collecting().once()


async def test_a_top_up_that_waits_cannot_be_confirmed_beside_the_one_that_followed_it(counter):
    account_id = await counter.buyer()
    await answers(counter, account_id, "authentication_required")
    await runs_low(counter, account_id)
    first = await waiting_id(counter, account_id)

    # Once more with the same card, then with another one.
    async with counter.database.transaction() as session:
        await TopUps(counter.paths, counter.clock).resume(session, account_id)
    counter.clock.advance(4 * 3600)
    for _ in range(2):
        await counter.collecting().once()
    second = await waiting_id(counter, account_id)
    await counter.change_rows("UPDATE account_settings SET payment_method_id = NULL")
    await counter.buy(account_id, None)
    counter.clock.advance(4 * 3600)
    for _ in range(2):
        await counter.collecting().once()
    await counter.hear()

    assert first != second
    assert await states(counter, account_id) == ["given_up", "given_up", "succeeded"]
    assert await counter.taken(account_id) == await counter.settled(account_id) == [2300]
    for old in (first, second):
        assert await confirming(counter).find_page(account_id, old) is None


async def test_gateways_hear_of_the_card_that_paused_top_ups_until_another_one_is_on_file(counter):
    account_id = await counter.buyer()
    await answers(counter, account_id, "expired_card")
    await runs_low(counter, account_id)

    paused = await told(counter, account_id)
    await counter.change_rows("UPDATE account_settings SET payment_method_id = NULL")
    await counter.buy(account_id, None)
    going_on = await told(counter, account_id)

    assert paused["payment_problem"] == problem("expired_card")
    assert going_on["payment_problem"] is None


async def test_gateways_hear_of_the_card_that_did_not_pay_for_a_period_until_the_period_is_paid(counter):
    account_id = await counter.buyer("small")
    (row,) = await counter.rows("SELECT id FROM subscription WHERE account_id = :id", id=account_id)

    # Which payment is the newest is told by the time, which stands still here.
    counter.clock.advance(60)
    counter.server.control(f"/sandbox/subscriptions/{row.id}/renew", {"outcome": "failed"})
    await counter.hear()
    declined = await told(counter, account_id)
    (invoice,) = [one for one in counter.listed("invoices", subscription=row.id) if one["status"] == "open"]
    counter.server.control(f"/sandbox/invoices/{invoice['id']}/collect", {"outcome": "paid"})
    await counter.hear()
    paid = await told(counter, account_id)

    assert declined["payment_problem"] == problem("generic_decline")
    assert paid["payment_problem"] is None


async def test_use_that_comes_while_a_payment_is_under_way_is_no_part_of_it(counter):
    account_id = await counter.buyer()
    async with counter.database.transaction() as session:
        await PayPerUse(counter.paths, counter.clock).start(session, Wish(account_id, "used", uuid4().hex))
    await owes(counter, account_id, 20 * CREDIT)
    # The payment is made, and the answer to the look at it is lost.
    await counter.collecting(FaultyTransport("cut after", on_calls({1}))).once()
    await owes(counter, account_id, 3 * CREDIT, sequence=2)

    counter.clock.advance(600)
    await counter.collecting().once()

    rows = await counter.rows(
        "SELECT sequence, attempt_id IS NULL AS is_open FROM owed_use WHERE account_id = :id ORDER BY sequence",
        id=account_id,
    )
    assert [tuple(row) for row in rows] == [(1, False), (2, True)]
    assert await counter.taken(account_id) == [2000]
    (carry,) = await counter.rows("SELECT carry_nano FROM use_carry WHERE account_id = :id", id=account_id)
    assert carry.carry_nano == 0


async def test_use_that_the_bank_wants_confirmed_waits_for_its_customer_and_is_paid_by_the_link_once(counter):
    account_id = await uses(counter, "authentication_required")
    blocked = await told(counter, account_id)

    # Nothing else asks for the same hours meanwhile, however long it takes and whatever else is used.
    await owes(counter, account_id, 3 * CREDIT, sequence=2)
    for _ in range(3):
        counter.clock.advance(24 * 3600)
        await counter.collecting().once()
    before = await counter.taken(account_id)
    await confirmed(counter, account_id)
    await counter.hear()
    healed = await told(counter, account_id)

    assert (blocked["payment_problem"], blocked["overage_ceiling_nano"]) == (problem("authentication_required"), "0")
    assert before == []
    assert await counter.taken(account_id) == await counter.settled(account_id) == [2000]
    assert await states(counter, account_id) == ["succeeded"]
    assert (healed["payment_problem"], healed["overage_ceiling_nano"]) == (None, str(100 * CREDIT))
    (left,) = await counter.rows(
        "SELECT sum(amount_nano) AS nano FROM owed_use WHERE account_id = :id AND attempt_id IS NULL", id=account_id
    )
    assert left.nano == 3 * CREDIT


@pytest.mark.parametrize("fault", SOME_OR_ALL)
@pytest.mark.parametrize("number", range(2))
async def test_another_card_takes_the_waiting_payment_back_before_it_pays_whatever_call_fails(counter, fault, number):
    account_id = await uses(counter, "authentication_required")
    old = await waiting_id(counter, account_id)
    await counter.change_rows("UPDATE account_settings SET payment_method_id = NULL")
    await counter.buy(account_id, None)

    transport = FaultyTransport(fault, on_calls({number}))
    await counter.collecting(transport).once()
    for _ in range(3):
        counter.clock.advance(600)
        await counter.collecting().once()
    await counter.hear()

    assert len(transport.struck) == 1
    assert await counter.taken(account_id) == await counter.settled(account_id) == [2000]
    assert await states(counter, account_id) == ["given_up", "succeeded"]
    assert [one["status"] for one in counter.listed("payment_intents") if one["id"] == old] == ["canceled"]
    assert await confirming(counter).find_page(account_id, old) is None


async def test_a_payment_that_was_confirmed_before_it_could_be_taken_back_is_the_one(counter):
    account_id = await uses(counter, "authentication_required")
    link = await confirming(counter).find_page(account_id, await waiting_id(counter, account_id))
    bank = await confirming(counter).begin(link.partition("token=")[2])
    await counter.change_rows("UPDATE account_settings SET payment_method_id = NULL")
    await counter.buy(account_id, None)

    httpx2.post(bank, data={"action": "yes"})
    for _ in range(2):
        await counter.collecting().once()
        counter.clock.advance(600)
    await counter.hear()

    assert await counter.taken(account_id) == await counter.settled(account_id) == [2000]
    assert await states(counter, account_id) == ["succeeded"]


async def test_a_waiting_payment_that_is_cancelled_at_stripe_is_asked_for_anew(counter):
    account_id = await uses(counter, "authentication_required")
    old = await waiting_id(counter, account_id)

    url = f"{counter.server.base_url}/v1/payment_intents/{old}/cancel"
    httpx2.post(url, auth=(counter.server.secret_key, "")).raise_for_status()
    await counter.hear()
    await answers(counter, account_id, "succeeded")
    counter.clock.advance(2 * 3600)
    await counter.change_rows("UPDATE account_settings SET use_look_at = now() - interval '1 day'")
    await counter.collecting().once()

    assert await states(counter, account_id) == ["given_up", "succeeded"]
    assert await counter.taken(account_id) == [2000]


async def test_an_invoice_for_use_alone_is_a_payment_with_its_fee_and_grants_nothing(counter):
    account_id = await counter.buyer("small")
    (row,) = await counter.rows(
        "SELECT s.id, c.id AS customer FROM subscription s JOIN stripe_customer c USING (account_id)"
        " WHERE account_id = :id",
        id=account_id,
    )
    item = {"customer": row.customer, "amount": "700", "currency": "usd", "subscription": row.id}
    for path, form in (
        ("invoiceitems", item),
        (f"subscriptions/{row.id}", {"_method": "DELETE", "invoice_now": "true", "prorate": "false"}),
    ):
        method = form.pop("_method", "POST")
        url = f"{counter.server.base_url}/v1/{path}"
        httpx2.request(method, url, data=form, auth=(counter.server.secret_key, "")).raise_for_status()
    for _ in range(2):
        await counter.hear()

    payments = await counter.rows(
        "SELECT kind, offer_id, amount_minor, fee_minor, fee_known, grant_nano, status FROM payment"
        " WHERE account_id = :id AND amount_minor = 700",
        id=account_id,
    )
    events = await counter.rows(
        "SELECT value FROM outbox WHERE topic = 'billing.payment-settled.v1' AND key = :key ORDER BY id",
        key=str(account_id).encode(),
    )
    told_of = [json.loads(one.value)["data"] for one in events]
    ((kind, offer, amount, fee, known, grant, status),) = [tuple(one) for one in payments]
    assert (kind, offer, amount, known, grant, status) == ("bundle", "small", 700, True, 0, "settled")
    assert fee > 0
    assert len(told_of) == 2
    last = told_of[1]
    assert (last["paid_minor"], last["use_minor"], last["fee_minor"]) == ("0", "700", str(fee))
    assert last["grant_amount"] == "0"

"""`make demo-money`, step by step: months of one customer by a clock that is moved, all parties asked after each."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial
from uuid import uuid4

import asyncpg
import pytest
from rich.console import Console

from sandbox.addresses import PORT_COUNT, Addresses
from sandbox.demo.customer import StoryError, until
from sandbox.demo.money import CATALOGUE, SETTINGS
from sandbox.demo.money.buyer import Buyer
from sandbox.demo.money.story import AFTER_AN_HOUR, LARGE, MoneyStory
from sandbox.demo.money.stripe_desk import StripeDesk
from sandbox.demo.screen import Screen
from sandbox.faregate import MovedFaregate
from sandbox.stack.ports import free_port_base
from sandbox.testing import temporary_folder

pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]

STEPS = [
    "sign up free", "hit the wall", "subscribe", "overage", "invoice", "card declined", "dunning", "recovery",
    "upgrade", "bundle", "refund", "dispute lost", "cancel",
]  # fmt: skip
USED = """
[plans.used]
name = "Pay per use"
price = "0"
kind = "pay_per_use"
markup_bps = 1_500
pay_per_use = { collect_at = "1", most = "20" }
[plans.used.terms]
overage = { policy = "bill", collect = "payment" }
"""


@pytest.fixture(scope="module")
async def product() -> AsyncIterator[MovedFaregate]:
    with temporary_folder() as folder:
        catalogue = folder / "catalogue.toml"
        catalogue.write_text(CATALOGUE.read_text() + USED)
        settings = {**SETTINGS, "FAREGATE_BILLING_CATALOGUE": str(catalogue)}
        made = MovedFaregate(folder, Addresses.from_gateway_port(free_port_base(PORT_COUNT)), settings=settings)
        made.stack.for_tests()
        async with made as running:
            yield running


async def test_ledger_billing_and_stripe_agree_after_every_step_of_three_months(
    product: MovedFaregate, silent: Console
) -> None:
    rows = await MoneyStory(product, Screen(silent)).tell()

    assert [row.step for row in rows] == STEPS
    assert 85 <= rows[-1].day <= 95
    by_step = {row.step: row.said for row in rows}
    assert sum(by_step["subscribe"].stripe.paid.values()) == 2_900
    assert by_step["overage"].stripe.counted_units > 5_000_000
    assert by_step["invoice"].stripe.invoiced_units == by_step["overage"].stripe.counted_units
    assert [by_step["card declined"].stripe.status, by_step["card declined"].ledger.plan] == ["past_due", "pro"]
    assert [by_step["dunning"].stripe.status, by_step["dunning"].ledger.plan] == ["past_due", "free"]
    assert by_step["dispute lost"].ledger.back_minor == 3_500
    assert by_step["cancel"].stripe.status == "canceled"


async def test_use_that_is_paid_afterwards_is_collected_to_the_cent(product: MovedFaregate) -> None:
    """A call's hold is the pending charge; when its hour is over, the payment takes whole cents of it."""
    buyer = Buyer(product.url, product.mailbox_url)
    stripe = StripeDesk(product.addresses.url("stripe"), secret_key=product.credentials.stripe_secret_key)
    await buyer.sign_up()
    await until("the free plan", partial(has_plan, buyer, "free"))
    await buyer.bring_another_card()
    headers = {"authorization": f"Bearer {buyer.token}", "idempotency-key": uuid4().hex}
    answer = await buyer.http.post("/billing/pay-per-use", json={"plan": "used"}, headers=headers)
    assert answer.status_code == 201, answer.text
    await until("the plan that is paid afterwards", partial(has_plan, buyer, "used"))

    # What is left of the free plan pays first.
    await buyer.ask_many(LARGE, calls=8)
    await until("all calls booked", partial(has_calls, buyer, 8))
    product.pass_time(AFTER_AN_HOUR + timedelta(hours=1))
    await buyer.log_in_again()
    used = sum((Decimal(one["overage_credits"]) for one in await explained(buyer)), Decimal(0))
    due_minor = int(used * 100)
    await until("the payment of all of it", partial(has_paid, buyer, due_minor), timeout_s=60)

    customer = await stripe.customer_of((await buyer.get("/ledger/balance"))["account_id"])
    assert customer is not None
    assert sum(one["amount"] for one in await stripe.charges(customer)) == due_minor > 100
    payments = await buyer.all_pages("/billing/payments")
    hours = [await buyer.get(f"/billing/payments/{one['id']}/use") for one in payments]
    assert sum(Decimal(one["credits"]) for found in hours for one in found["items"]) == used
    await stripe.close()
    await buyer.http.aclose()


async def test_a_cent_that_one_party_has_lost_fails_the_step_and_names_both(
    product: MovedFaregate, silent: Console
) -> None:
    story = MoneyStory(product, Screen(silent), patience_s=20)
    await story.take("subscribe", lambda: in_order(story.sign_up, story.subscribe))
    account_id = story.reader.account_id

    with pytest.raises(
        StoryError, match=r"at the step “lose a cent”: payments: billing says \{.*: 2899\}, Stripe says"
    ):
        await story.take("lose a cent", lambda: lose_a_cent(product, account_id))

    await story.stripe.close()
    await story.buyer.http.aclose()


async def in_order(*steps: Callable[[], Awaitable[None]]) -> None:
    for step in steps:
        await step()


async def lose_a_cent(product: MovedFaregate, account_id: str) -> None:
    connection = await asyncpg.connect(product.stack.database_url("billing"))
    await connection.execute("UPDATE payment SET amount_minor = amount_minor - 1 WHERE account_id = $1", account_id)
    await connection.close()


async def has_plan(buyer: Buyer, plan: str) -> bool:
    """At the gateway and in the ledger."""
    try:
        limits, balance = await buyer.get("/v1/limits"), await buyer.get("/ledger/balance")
    except StoryError:
        return False
    return bool(limits["plan"] == balance["plan"] == plan)


async def has_calls(buyer: Buyer, number: int) -> bool:
    return len(await buyer.all_pages("/v1/requests")) == number


async def has_paid(buyer: Buyer, amount_minor: int) -> bool:
    payments = await buyer.all_pages("/billing/payments")
    return sum(Decimal(one["amount"]) for one in payments if one["status"] == "settled") * 100 == amount_minor


async def explained(buyer: Buyer) -> list[dict[str, str]]:
    return [await buyer.get(f"/v1/requests/{one['id']}") for one in await buyer.all_pages("/v1/requests")]

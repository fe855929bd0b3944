"""Flows of money through gateway, ledger, billing and Stripe, each from its first click to the last party's books."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import anthropic
import pytest
from tests.e2e.conftest import Product

from sandbox.demo.customer import LARGE_CALL_TOKENS, MODEL, StoryError, until
from sandbox.demo.money.buyer import QUESTION, Buyer
from sandbox.demo.money.stripe_desk import StripeDesk

pytestmark = pytest.mark.stack

TRIAL = Decimal(5)
# 92 cents a call: the fifth leaves less than a tenth of the trial, of which billing hears.
CALL = {"anthropic-sandbox-scenario": f"text;output_tokens={LARGE_CALL_TOKENS};delay_ms=0;tokens_per_delta=200"}


@pytest.fixture
async def buyer(product: Product) -> AsyncIterator[Buyer]:
    """On the trial."""
    joined = Buyer(product.url, product.mailbox_url)
    await joined.sign_up()
    await until("the trial", lambda: has(joined, TRIAL))
    yield joined
    await joined.http.aclose()


@pytest.fixture
async def stripe(product: Product) -> AsyncIterator[StripeDesk]:
    desk = StripeDesk(product.addresses.url("stripe"), secret_key=product.credentials.stripe_secret_key)
    yield desk
    await desk.close()


async def test_a_larger_plan_costs_what_was_previewed_and_calls_are_admitted_by_it(
    buyer: Buyer, stripe: StripeDesk
) -> None:
    await buyer.press_pay(await buyer.buy("starter"))
    await until("the plan's credits", lambda: has(buyer, TRIAL + 20))
    preview = await buyer.preview("team")
    await buyer.change_plan("team", previewed_at=preview["at"])

    # Of the smaller plan's credits stays what the moments until the change were worth.
    least = TRIAL + Decimal(preview["allowance_given"])

    async def is_there() -> bool:
        return least <= await buyer.balance() < least + Decimal("0.1")

    async def is_admitted_by_it() -> bool:
        limits, balance = await buyer.get("/v1/limits"), await buyer.balance()
        return limits["plan"] == "team" and credits_in(limits) == balance

    await until("the larger plan's credits instead of the smaller's", is_there)
    await until("the same at the gateway", is_admitted_by_it)
    due_minor = int(Decimal(preview["due"]) * 100)
    assert await charged_minor(buyer, stripe) == [2_000, due_minor]
    assert await settled_minor(buyer) == [2_000, due_minor]
    assert 3_900 < due_minor <= 4_000
    assert (await buyer.subscription())["plan"] == "team"


async def test_credits_that_run_low_are_topped_up_once_with_the_card_on_file(buyer: Buyer, stripe: StripeDesk) -> None:
    await buyer.bring_another_card()
    rule = {"below": "1", "amount": "10", "daily_cap": "50", "monthly_cap": "100"}
    answer = await buyer.http.put("/billing/auto-top-up", json=rule, headers={"authorization": f"Bearer {buyer.token}"})
    assert answer.status_code == 200, answer.text

    for _ in range(5):
        await spend(buyer)
    await until("the top-up", lambda: has(buyer, Decimal("10.9")))

    # To the cent, up to `below` and `amount` more.
    left = await buyer.balance()
    (paid,) = await settled_minor(buyer)
    assert await charged_minor(buyer, stripe) == [paid]
    assert 11 <= left < Decimal("11.01")
    assert left == TRIAL + Decimal(paid) / 100 - await spent(buyer)
    state = await buyer.get("/billing/auto-top-up")
    assert (state["last_amount"], state["paused"]) == (f"{Decimal(paid) / 100:.2f}", None)


async def has(buyer: Buyer, amount: Decimal) -> bool:
    """At least so much; a new account is known to the ledger a moment after its sign-up."""
    try:
        return await buyer.balance() >= amount
    except StoryError:
        return False


async def spend(buyer: Buyer) -> None:
    try:
        async with buyer.sdk().messages.stream(
            model=MODEL, max_tokens=LARGE_CALL_TOKENS, messages=QUESTION, extra_headers=CALL
        ) as answer:
            await answer.until_done()
    except anthropic.APIStatusError as refusal:
        raise StoryError(f"a call was refused: {refusal}") from refusal


async def spent(buyer: Buyer) -> Decimal:
    calls = await buyer.all_pages("/v1/requests")
    return sum((Decimal(one["price_credits"]) for one in calls), Decimal(0))


def credits_in(limits: dict[str, Any]) -> Decimal:
    return next((Decimal(one["available"]) for one in limits["amounts"] if one["unit"] == "credit"), Decimal(0))


async def settled_minor(buyer: Buyer) -> list[int]:
    """What billing has booked, oldest first."""
    payments = await buyer.all_pages("/billing/payments")
    return [int(Decimal(one["amount"]) * 100) for one in reversed(payments) if one["status"] == "settled"]


async def charged_minor(buyer: Buyer, stripe: StripeDesk) -> list[int]:
    """What Stripe has taken, oldest first."""
    customer = await stripe.customer_of((await buyer.get("/ledger/balance"))["account_id"])
    assert customer is not None
    return [int(one["amount"]) for one in reversed(await stripe.charges(customer))]

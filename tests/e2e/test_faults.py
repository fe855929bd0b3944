"""Parts die and come back; nothing is lost, nothing doubled."""

import asyncio
import contextlib
from decimal import Decimal

import anthropic
import httpx2
import pytest
from tests.e2e.conftest import Product
from tests.e2e.test_the_story import MODEL, QUESTION, signed_up

from sandbox.demo.customer import StoryError, until

pytestmark = pytest.mark.stack


async def _charged(customer, count: int) -> bool:
    requests = (await customer.get("/v1/requests", limit="200"))["items"]
    return len(requests) == count


async def test_a_ledger_killed_under_load_charges_every_call_once(product: Product) -> None:
    customer = await signed_up(product)
    sdk = customer.sdk()
    fast = {"anthropic-sandbox-scenario": "text;delay_ms=0"}

    # As many at once as the trial plan allows.
    at_once, answered = asyncio.Semaphore(8), asyncio.Event()

    async def call() -> None:
        async with at_once:
            await sdk.messages.create(model=MODEL, max_tokens=16, messages=QUESTION, extra_headers=fast)
            answered.set()

    load = asyncio.gather(*(call() for _ in range(60)))
    # From then on the gateway knows the balance.
    await answered.wait()
    await product.kill("ledger")
    try:
        await load
    finally:
        await product.start("ledger")

    await until("sixty charges", lambda: _charged(customer, 60), timeout_s=40)
    transactions = await customer.all_pages("/ledger/transactions")
    deductions = [one for one in transactions if one["type"] == "deduction"]
    assert len({one["request_id"] for one in deductions}) == 60
    total = sum((Decimal(one["amount_credits"]) for one in transactions), Decimal(0))
    assert await customer.balance() == total


async def test_a_gateway_killed_in_mid_stream_leaves_a_hold_that_is_swept_as_orphaned_and_free(
    product: Product,
) -> None:
    customer = await signed_up(product)

    async def slow_call() -> None:
        async with customer.sdk().messages.stream(
            model=MODEL,
            max_tokens=400,
            messages=QUESTION,
            extra_headers={"anthropic-sandbox-scenario": "text;output_tokens=400;delay_ms=100"},
        ) as stream:
            await stream.until_done()

    streaming = asyncio.create_task(slow_call())
    await asyncio.sleep(1.5)
    await product.kill("gateway")
    with contextlib.suppress(anthropic.APIError, httpx2.HTTPError):
        await streaming
    await product.start("gateway")

    async def orphaned() -> bool:
        requests = (await customer.get("/v1/requests"))["items"]
        return [one["outcome"] for one in requests] == ["orphaned"]

    await until("the orphaned call", orphaned, timeout_s=40)
    assert await customer.balance() == 5
    await customer.sdk().messages.create(model=MODEL, max_tokens=16, messages=QUESTION)


async def test_billing_killed_between_webhook_and_event_grants_once(product: Product) -> None:
    customer = await signed_up(product)
    page = await customer.buy("credits_10")
    await customer.press_pay(page)
    await product.kill("billing")
    await product.start("billing")

    async def granted() -> bool:
        return await customer.balance() == 15

    await until("the bundle's credits", granted, timeout_s=40)
    await asyncio.sleep(2)
    assert await customer.balance() == 15


async def test_without_kafka_calls_go_on_and_are_charged_when_it_is_back(product: Product) -> None:
    """Usage waits in the gateway's spool (money.md 12)."""
    customer = await signed_up(product)
    # An account that this Redis has never seen has to wait for Kafka: the ledger answers once it has read to the end.
    await customer.sdk().messages.create(model=MODEL, max_tokens=16, messages=QUESTION)
    await product.stack.kafka.stop()
    try:
        for _ in range(3):
            await customer.sdk().messages.create(model=MODEL, max_tokens=16, messages=QUESTION)
    finally:
        await product.stack.kafka.start()

    await until("all four charges", lambda: _charged(customer, 4), timeout_s=60)
    newcomer = await signed_up(product)

    async def can_buy() -> bool:
        try:
            return bool(await newcomer.buy("credits_10"))
        except StoryError:
            return False

    await until("checkout for an account made after the outage", can_buy, timeout_s=60)


async def test_a_redis_that_lost_its_memory_is_rebuilt_from_the_ledger(product: Product) -> None:
    customer = await signed_up(product)
    await customer.sdk().messages.create(model=MODEL, max_tokens=16, messages=QUESTION)
    await until("the charge", lambda: _charged(customer, 1))
    balance = await customer.balance()
    await product.stack.redis.kill()
    await product.stack.redis.start()

    async def works() -> bool:
        try:
            await customer.sdk().messages.create(model=MODEL, max_tokens=16, messages=QUESTION)
        except anthropic.APIStatusError:
            return False
        return True

    await until("calls again", works, timeout_s=30)
    await until("the second charge", lambda: _charged(customer, 2))
    assert await customer.balance() < balance


async def test_the_books_are_balanced_after_all_that(product: Product) -> None:
    token = await product.operator_token()
    async with httpx2.AsyncClient(base_url=product.url, headers={"authorization": f"Bearer {token}"}) as http:
        answer = await http.get("/ledger/operator/books", timeout=60)

    assert answer.status_code == 200, answer.text
    assert (answer.json()["balanced"], answer.json()["differences"]) == (True, [])

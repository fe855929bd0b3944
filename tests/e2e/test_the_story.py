"""From sign-up to a charged call, a warning, a payment, and on: through the gateway's one address."""

import asyncio
from decimal import Decimal

import anthropic
import httpx2
import pytest
from rich.console import Console
from tests.e2e.conftest import Product

from sandbox.demo.customer import Customer, StoryError, until
from sandbox.demo.screen import Screen
from sandbox.demo.story import tell

pytestmark = pytest.mark.stack

MODEL = "claude-sonnet-5-5"
QUESTION = [{"role": "user", "content": "Say hello"}]


async def signed_up(product: Product) -> Customer:
    customer = product.customer()
    await customer.sign_up()

    async def granted() -> bool:
        try:
            return await customer.balance() == 5
        except StoryError:
            return False

    await until("the trial's credits", granted, timeout_s=60)
    return customer


async def test_the_demo_tells_the_whole_story(product: Product, silent: Console) -> None:
    await tell(product.customer(), Screen(silent))


async def test_what_the_client_gets_is_byte_for_byte_what_the_provider_sent(product: Product) -> None:
    customer = await signed_up(product)
    provider = product.addresses.url("provider")
    for stream in (True, False):
        answer = await customer.http.post(
            "/v1/messages",
            params={"beta": "true"},
            headers={
                "x-api-key": customer.api_key,
                "anthropic-version": "2023-06-01",
                "anthropic-sandbox-scenario": "thinking+tools+cache;chunk=7",
            },
            json={"model": MODEL, "max_tokens": 300, "stream": stream, "messages": QUESTION},
        )
        sent = await customer.http.get(f"{provider}/sandbox/calls/{answer.headers['request-id']}/bytes")

        assert answer.status_code == 200
        assert answer.content == sent.content
        assert len(answer.content) > 200


async def test_both_credentials_work_with_the_official_sdk_and_each_call_is_listed_and_explained(
    product: Product,
) -> None:
    customer = await signed_up(product)
    for with_token in (True, False):
        sdk = customer.sdk(with_token=with_token)
        await sdk.messages.create(model=MODEL, max_tokens=50, messages=QUESTION)
        async with sdk.messages.stream(model=MODEL, max_tokens=50, messages=QUESTION) as stream:
            await stream.until_done()

    async def all_listed() -> bool:
        return len((await customer.get("/v1/requests"))["items"]) == 4

    await until("four calls", all_listed)
    spent = Decimal(0)
    for request in (await customer.get("/v1/requests"))["items"]:
        explained = await customer.get(f"/v1/requests/{request['id']}")
        spent += Decimal(explained["price_credits"])
        assert explained["price_book_version"] == 1
    assert await customer.balance() == 5 - spent


async def test_a_failed_call_is_free_and_listed(product: Product) -> None:
    customer = await signed_up(product)
    with pytest.raises(anthropic.APIStatusError) as failed:
        await customer.sdk().messages.create(
            model=MODEL, max_tokens=50, messages=QUESTION, extra_headers={"anthropic-sandbox-scenario": "529"}
        )

    async def listed() -> bool:
        return bool((await customer.get("/v1/requests"))["items"])

    await until("the failed call", listed)
    request = (await customer.get("/v1/requests"))["items"][0]
    assert failed.value.status_code == 529
    assert (request["outcome"], Decimal(request["price_credits"])) == ("upstream_error", 0)
    assert await customer.balance() == 5

    async def served_again() -> bool:
        """Its only credential cools down for a moment."""
        try:
            await customer.sdk().messages.create(model=MODEL, max_tokens=16, messages=QUESTION)
        except anthropic.OverloadedError:
            return False
        return True

    await until("a call after the provider's pause", served_again)


async def test_a_model_without_a_price_is_refused_before_it_costs(product: Product) -> None:
    customer = await signed_up(product)

    with pytest.raises(anthropic.NotFoundError, match="claude-fable-5-2"):
        await customer.sdk().messages.create(model="claude-fable-5-2", max_tokens=50, messages=QUESTION)


async def test_a_revoked_key_stops_working_within_five_seconds(product: Product) -> None:
    customer = await signed_up(product)
    await customer.sdk().messages.create(model=MODEL, max_tokens=16, messages=QUESTION)
    keys = await customer.get("/auth/api-keys")
    headers = {"authorization": f"Bearer {customer.token}"}
    revoked = await customer.http.delete(f"/auth/api-keys/{keys['items'][0]['id']}", headers=headers)
    assert revoked.status_code in (200, 204)

    async def refused() -> bool:
        try:
            await customer.sdk().messages.create(model=MODEL, max_tokens=16, messages=QUESTION)
        except anthropic.AuthenticationError as error:
            return error.response.headers["x-should-retry"] == "false"
        return False

    await until("401 for the revoked key", refused, timeout_s=5)


async def test_a_monthly_plan_grants_its_credits_and_a_refund_takes_a_bundles_back(product: Product) -> None:
    customer = await signed_up(product)
    await customer.press_pay(await customer.buy("starter"))

    async def has(amount: int) -> bool:
        return await customer.balance() == amount

    await until("the plan's credits", lambda: has(25))
    assert (await customer.get("/billing/subscription"))["subscription"]["status"] == "active"
    await customer.press_pay(await customer.buy("credits_10"))
    await until("the bundle's credits", lambda: has(35))
    payments = (await customer.get("/billing/payments"))["items"]
    bundle = next(one for one in payments if one["offer"] == "credits_10")

    await product.refund(bundle["id"])

    await until("the refund in the balance", lambda: has(25))


async def test_an_operators_adjustment_is_visible_to_the_customer(product: Product) -> None:
    account = await product.make_account(credits_amount="20")

    async with httpx2.AsyncClient(base_url=product.url, headers={"authorization": f"Bearer {account.token}"}) as http:

        async def has_both() -> bool:
            return Decimal((await http.get("/ledger/balance")).json()["available_credits"]) == 25

        await until("trial and adjustment", has_both)
        transactions = (await http.get("/ledger/transactions")).json()["items"]
    assert {one["type"] for one in transactions} == {"topup", "adjustment"}


async def test_the_front_page_says_what_this_is_and_what_is_sandboxed(product: Product) -> None:
    async with httpx2.AsyncClient(base_url=product.url) as http:
        page = await http.get("/", headers={"accept": "text/html"})
        data = await http.get("/", headers={"accept": "application/json"})

        linked = [(await http.get(url)).status_code for url in data.json()["documents"].values()]
    assert data.json()["environment"] == "sandbox"
    assert linked == [200] * 5
    assert "Faregate" in page.text
    assert "sandbox" in page.text.lower()


async def test_the_hard_cap_holds_for_concurrent_calls(product: Product) -> None:
    customer = await signed_up(product)
    scenario = {"anthropic-sandbox-scenario": "text;output_tokens=20000;delay_ms=0"}

    async def call() -> str:
        try:
            await customer.sdk().messages.create(
                model="claude-opus-5-5", max_tokens=20_000, messages=QUESTION, extra_headers=scenario, timeout=60
            )
        except anthropic.APIStatusError as refused:
            return str(refused.status_code)
        return "200"

    # As many at once as the trial plan allows; more would be refused for their number, not for their price.
    answers = [answer for _ in range(4) for answer in await asyncio.gather(*(call() for _ in range(8)))]

    # 20,000 tokens of output cost 0.46 credits: ten fit into five credits, and no eleventh.
    assert answers.count("200") <= 10
    assert set(answers) == {"200", "402"}

    async def all_listed() -> bool:
        return len((await customer.get("/v1/requests", limit="100"))["items"]) == answers.count("200")

    await until("every admitted call", all_listed)
    assert await customer.balance() >= 0

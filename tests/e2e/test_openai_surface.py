"""The official OpenAI SDK against the whole product: what it gets, and that what it gets is what is charged."""

import asyncio
from decimal import Decimal
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI
from tests.e2e.conftest import Product
from tests.e2e.test_the_story import signed_up

from sandbox.demo.customer import Customer, until

pytestmark = pytest.mark.stack

MODEL = "sandbox-gpt"
CLAUDE = "claude-sonnet-5-5"
MESSAGES: Any = [{"role": "user", "content": "How far does a credit go?"}]
WEATHER: Any = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"place": {"type": "string"}}}},
}
# Credits per token of sandbox-gpt, and of Claude Sonnet 5.5: the book's prices and 15 % on top.
PRICES = {
    MODEL: (Decimal("0.00000115"), Decimal("0.000000115"), Decimal("0.0000046")),
    CLAUDE: (Decimal("0.0000023"), Decimal("0.000000115"), Decimal("0.0000115")),
    "sandbox-embedding": (Decimal("0.000000023"), Decimal(0), Decimal(0)),
}


def scenario(text: str) -> dict[str, Any]:
    return {"extra_headers": {"openai-sandbox-scenario": text}}


@pytest.fixture(scope="module")
async def customer(product: Product) -> Customer:
    return await signed_up(product)


@pytest.fixture
async def sdk(customer: Customer):
    async with AsyncOpenAI(base_url=f"{customer.gateway_url}/v1", api_key=customer.api_key, max_retries=0) as client:
        yield client


@pytest.fixture
async def bill(customer: Customer):
    """Awaited with the calls made since the test began, as the provider counted them: the balance says the same."""
    before = await customer.balance()

    async def bill(*calls: tuple[str, int, int, int]) -> None:
        spent = Decimal(0)
        for model, prompt, cached, output in calls:
            fresh_price, cached_price, output_price = PRICES[model]
            spent += (prompt - cached) * fresh_price + cached * cached_price + output * output_price

        async def charged() -> bool:
            return await customer.balance() == before - spent

        await until(f"{spent} credits charged", charged)

    return bill


def counted(usage: Any, model: str = MODEL) -> tuple[str, int, int, int]:
    details = usage.prompt_tokens_details
    return model, usage.prompt_tokens, details.cached_tokens if details else 0, usage.completion_tokens


@pytest.mark.parametrize("model", [MODEL, CLAUDE])
async def test_a_whole_completion_costs_what_its_usage_says(sdk: AsyncOpenAI, bill, model: str) -> None:
    whole = await sdk.chat.completions.create(model=model, messages=MESSAGES, max_completion_tokens=50)

    assert whole.choices[0].message.content
    await bill(counted(whole.usage, model))


@pytest.mark.parametrize("text", ["text", "cache", "thinking", "text;chunk=7"])
async def test_a_stream_shows_usage_to_those_who_asked_and_costs_the_same_for_those_who_did_not(
    sdk: AsyncOpenAI, bill, text: str
) -> None:
    call: Any = {"model": MODEL, "messages": MESSAGES, **scenario(f"{text};delay_ms=0")}

    plain = [chunk async for chunk in await sdk.chat.completions.create(**call, stream=True)]
    asked = [
        chunk
        async for chunk in await sdk.chat.completions.create(
            **call, stream=True, stream_options={"include_usage": True}
        )
    ]

    assert all(chunk.choices for chunk in plain)
    assert all("usage" not in chunk.model_fields_set or chunk.usage is None for chunk in plain)
    assert [chunk.choices[0].delta for chunk in plain] == [chunk.choices[0].delta for chunk in asked if chunk.choices]
    assert asked[-1].choices == []
    await bill(counted(asked[-1].usage), counted(asked[-1].usage))


async def test_what_a_client_did_not_ask_for_is_not_in_its_bytes(product: Product) -> None:
    customer = await signed_up(product)  # its own: what it costs is not known, so nobody's bill may wait for it
    headers = {"authorization": f"Bearer {customer.api_key}", "openai-sandbox-scenario": "text;delay_ms=0"}
    body = {"model": MODEL, "messages": MESSAGES, "stream": True}

    answer = await customer.http.post("/v1/chat/completions", headers=headers, json=body)

    assert answer.content.endswith(b"data: [DONE]\n\n")
    assert b'"choices":[]' not in answer.content
    assert b"prompt_tokens" not in answer.content


async def test_tools_are_called_streamed_and_not(sdk: AsyncOpenAI, bill) -> None:
    call: Any = {"model": MODEL, "messages": MESSAGES, "tools": [WEATHER], "tool_choice": "required"}

    whole = await sdk.chat.completions.create(**call)
    async with sdk.chat.completions.stream(**call, stream_options={"include_usage": True}) as stream:
        final = await stream.get_final_completion()

    assert whole.choices[0].finish_reason == final.choices[0].finish_reason == "tool_calls"
    asked, streamed = whole.choices[0].message.tool_calls[0], final.choices[0].message.tool_calls[0]
    assert (asked.function.name, asked.function.arguments) == (streamed.function.name, streamed.function.arguments)
    await bill(counted(whole.usage), counted(final.usage))


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_response_costs_what_its_usage_says(sdk: AsyncOpenAI, bill, *, streamed: bool) -> None:
    call: Any = {"model": MODEL, "input": "How far does a credit go?", "max_output_tokens": 60}
    if streamed:
        async with sdk.responses.stream(**call) as stream:
            response = await stream.get_final_response()
    else:
        response = await sdk.responses.create(**call)

    usage = response.usage
    assert response.output_text
    await bill((MODEL, usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens))


async def test_embeddings_cost_their_prompt(sdk: AsyncOpenAI, bill) -> None:
    answer = await sdk.embeddings.create(model="sandbox-embedding", input=["How far", "does a credit go?"])

    assert len(answer.data) == 2
    await bill(("sandbox-embedding", answer.usage.prompt_tokens, 0, 0))


async def test_the_models_are_listed_in_openais_shape(sdk: AsyncOpenAI) -> None:
    listed = {model.id: model async for model in await sdk.models.list()}

    assert {MODEL, CLAUDE, "sandbox-embedding"} <= set(listed)
    assert (await sdk.models.retrieve(MODEL)).object == listed[MODEL].object == "model"


async def test_an_unknown_key_is_401_and_not_tried_again(customer: Customer) -> None:
    async with AsyncOpenAI(base_url=f"{customer.gateway_url}/v1", api_key="fg_test_nonsense", max_retries=2) as sdk:
        with pytest.raises(openai.AuthenticationError) as refused:
            await sdk.chat.completions.create(model=MODEL, messages=MESSAGES)

    assert refused.value.response.headers["x-should-retry"] == "false"
    assert refused.value.response.request.headers["x-stainless-retry-count"] == "0"


async def test_a_model_without_a_price_is_404(sdk: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        await sdk.chat.completions.create(model="gpt-nobody-sells", messages=MESSAGES)

    assert refused.value.type == "invalid_request_error"
    assert "gpt-nobody-sells" in refused.value.message


async def test_a_call_beyond_the_balance_is_402_says_what_is_missing_and_is_not_tried_again(customer: Customer) -> None:
    async with AsyncOpenAI(base_url=f"{customer.gateway_url}/v1", api_key=customer.api_key, max_retries=2) as sdk:
        with pytest.raises(openai.APIStatusError, match="do not cover this call") as refused:
            await sdk.chat.completions.create(model="claude-fable-5", messages=MESSAGES, max_completion_tokens=120_000)

    answer = refused.value.response
    assert refused.value.status_code == 402
    assert answer.headers["x-should-retry"] == "false"
    assert answer.request.headers["x-stainless-retry-count"] == "0"
    assert Decimal(answer.headers["faregate-balance"]) <= 5


async def _provider_saw(product: Product, status: int) -> int:
    """How many of its calls the provider has answered so."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"{product.addresses.url('provider')}/sandbox/calls", params={"limit": "1000"})
    return [one["status"] for one in answer.raise_for_status().json()].count(status)


@pytest.mark.parametrize(("status", "tries"), [(500, 2), (400, 1)])
async def test_the_providers_errors_reach_the_client_and_cost_nothing(
    product: Product, customer: Customer, bill, status: int, tries: int
) -> None:
    before = await _provider_saw(product, status)
    async with AsyncOpenAI(base_url=f"{customer.gateway_url}/v1", api_key=customer.api_key, max_retries=1) as sdk:
        with pytest.raises(openai.APIStatusError, match=f"test-{status}") as failed:
            await sdk.chat.completions.create(
                model=MODEL, messages=MESSAGES, **scenario(f"{status};message=test-{status}")
            )

    assert failed.value.status_code == status
    assert failed.value.response.request.headers["x-stainless-retry-count"] == str(tries - 1)
    assert await _provider_saw(product, status) - before == tries
    await bill()


async def test_a_providers_429_is_the_operators_and_its_credential_rests_as_long_as_it_says(
    sdk: AsyncOpenAI, bill
) -> None:
    call: Any = {"model": MODEL, "messages": MESSAGES}
    for text in ("429;retry_after=3", "text"):
        with pytest.raises(openai.InternalServerError) as refused:
            await sdk.chat.completions.create(**call, **scenario(text))

        # Not 429, which would say that the customer asked too often.
        assert refused.value.status_code == 529
        assert 1 <= int(refused.value.response.headers["retry-after"]) <= 3
    async with sdk.with_options(max_retries=4) as patient:
        answer = await patient.chat.completions.create(**call)
    await bill(counted(answer.usage))


async def test_a_customers_rate_is_429_with_the_vendors_headers(product: Product) -> None:
    customer = await signed_up(product)
    async with AsyncOpenAI(base_url=f"{customer.gateway_url}/v1", api_key=customer.api_key, max_retries=0) as sdk:

        async def call() -> None:
            quick = scenario("text;delay_ms=0;output_tokens=1")
            await sdk.chat.completions.create(model=MODEL, messages=MESSAGES, max_completion_tokens=1, **quick)

        async def hurry() -> None:
            for _ in range(40):
                await asyncio.gather(*(call() for _ in range(6)))

        with pytest.raises(openai.RateLimitError, match="requests per minute") as refused:
            await hurry()

    headers = refused.value.response.headers
    assert headers["x-ratelimit-limit-requests"] == "60"
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert int(headers["retry-after"]) >= 1
    assert headers["x-should-retry"] == "true"

"""The OpenAI-compatible half of the stand-in provider, judged by the official SDK."""

from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI

from sandbox.fixtures_outside import Provider

ASK: dict[str, Any] = {
    "model": "sandbox-gpt",
    "messages": [{"role": "user", "content": "How far does a credit go?"}],
}
QUESTION: dict[str, Any] = {"model": "sandbox-gpt", "input": "How far does a credit go?"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}, "days": {"type": "integer"}}},
    },
}


@pytest.fixture
async def sdk(provider: Provider):
    async with AsyncOpenAI(base_url=f"{provider.base_url}/v1", api_key=provider.api_key, max_retries=0) as client:
        yield client


def scenario(text: str) -> dict[str, Any]:
    return {"extra_headers": {"sandbox-scenario": text}}


async def streamed(sdk: AsyncOpenAI, text: str, **changes: Any):
    options = {"stream_options": {"include_usage": True}}
    async with sdk.chat.completions.stream(**{**ASK, **options, **changes}, **scenario(text)) as stream:
        return await stream.get_final_completion()


async def test_a_plain_completion_answers_with_text_and_usage(sdk: AsyncOpenAI):
    completion = await sdk.chat.completions.create(**ASK)

    assert completion.choices[0].message.content.startswith("This is the sandbox speaking")
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.completion_tokens == 40
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + 40


@pytest.mark.parametrize("text", ["text", "tools", "thinking", "cache", "unicode", "refusal", "thinking+tools;chunk=3"])
async def test_a_streamed_completion_says_and_costs_what_the_same_call_does_without_one(sdk: AsyncOpenAI, text: str):
    stream = await streamed(sdk, f"{text};delay_ms=0")
    whole = await sdk.chat.completions.create(**ASK, **scenario(text))

    left, right = stream.choices[0], whole.choices[0]
    assert (left.finish_reason, left.message.content or None) == (right.finish_reason, right.message.content)
    assert [call.function.arguments for call in left.message.tool_calls or ()] == [
        call.function.arguments for call in right.message.tool_calls or ()
    ]
    assert stream.usage == whole.usage


async def test_an_answer_that_is_filtered_half_way_says_so(sdk: AsyncOpenAI):
    stream = await sdk.chat.completions.create(**ASK, stream=True, **scenario("refusal-midstream;delay_ms=0"))
    chunks = [chunk async for chunk in stream]

    assert chunks[-1].choices[0].finish_reason == "content_filter"
    assert any(chunk.choices[0].delta.content for chunk in chunks)


async def test_usage_is_streamed_only_to_those_who_ask_and_last(sdk: AsyncOpenAI):
    silent = [chunk async for chunk in await sdk.chat.completions.create(**ASK, stream=True, **scenario("fast"))]
    asked = await sdk.chat.completions.create(
        **ASK, stream=True, stream_options={"include_usage": True}, **scenario("fast")
    )
    told = [chunk async for chunk in asked]

    assert all(chunk.usage is None for chunk in silent)
    assert [chunk.usage is not None for chunk in told] == [False] * (len(told) - 1) + [True]
    assert told[-1].choices == []


async def test_reads_and_writes_of_the_cache_and_reasoning_stand_inside_the_counts(sdk: AsyncOpenAI):
    text = scenario("thinking;input_tokens=10;cache_read=300;cache_5m=50;output_tokens=30;thinking_tokens=12")

    usage = (await sdk.chat.completions.create(**ASK, **text)).usage

    assert (usage.prompt_tokens, usage.completion_tokens) == (360, 30)
    assert (usage.prompt_tokens_details.cached_tokens, usage.prompt_tokens_details.cache_write_tokens) == (300, 50)
    assert usage.completion_tokens_details.reasoning_tokens == 12


async def test_a_forced_tool_is_called_with_arguments_that_fit_it(sdk: AsyncOpenAI):
    completion = await sdk.chat.completions.create(**ASK, tools=[WEATHER], tool_choice="required")

    call = completion.choices[0].message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"place":"Lisbon","days":7}')
    assert completion.choices[0].finish_reason == "tool_calls"


async def test_the_limit_on_output_is_kept_and_named(sdk: AsyncOpenAI):
    completion = await sdk.chat.completions.create(**ASK, max_completion_tokens=5, n=2)

    assert [choice.finish_reason for choice in completion.choices] == ["length", "length"]
    assert completion.usage.completion_tokens == 10


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("401", openai.AuthenticationError),
        ("403", openai.PermissionDeniedError),
        ("429;retry_after=7", openai.RateLimitError),
        ("500", openai.InternalServerError),
        ("529", openai.InternalServerError),
    ],
)
async def test_an_error_comes_in_openais_envelope(sdk: AsyncOpenAI, text: str, error: type[openai.APIStatusError]):
    with pytest.raises(error) as caught:
        await sdk.chat.completions.create(**ASK, **scenario(text))

    assert caught.value.body["message"]
    assert set(caught.value.body) == {"message", "type", "param", "code"}
    assert caught.value.request_id.startswith("req_")
    if error is openai.RateLimitError:
        assert caught.value.response.headers["retry-after"] == "7"


async def test_an_unknown_model_and_an_unknown_field_are_refused(sdk: AsyncOpenAI):
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        await sdk.chat.completions.create(**{**ASK, "model": "gpt-imagined"})
    with pytest.raises(openai.BadRequestError, match="Unrecognized request argument supplied: surprise"):
        await sdk.chat.completions.create(**ASK, extra_body={"surprise": 1})


async def test_an_error_in_mid_stream_reaches_the_client_as_one(sdk: AsyncOpenAI):
    stream = await sdk.chat.completions.create(**ASK, stream=True, **scenario("error;delay_ms=0;message=it broke"))

    with pytest.raises(openai.APIError, match="it broke"):
        async for _ in stream:
            pass


@pytest.mark.parametrize("text", ["text", "thinking", "tools", "thinking+tools+cache;chunk=5", "refusal"])
async def test_a_streamed_response_builds_up_the_whole_one(sdk: AsyncOpenAI, text: str):
    async with sdk.responses.stream(**QUESTION, **scenario(f"{text};delay_ms=0")) as stream:
        numbers = [event.sequence_number async for event in stream]
        built = await stream.get_final_response()
    whole = await sdk.responses.create(**QUESTION, **scenario(text))

    assert numbers == list(range(len(numbers)))
    assert built.output_text == whole.output_text
    assert [item.type for item in built.output] == [item.type for item in whole.output]
    assert built.usage == whole.usage
    assert built.usage.total_tokens == built.usage.input_tokens + built.usage.output_tokens


async def test_a_response_that_was_cut_is_incomplete(sdk: AsyncOpenAI):
    async with sdk.responses.stream(**QUESTION, max_output_tokens=16, **scenario("fast")) as stream:
        kinds = [event.type async for event in stream]
    whole = await sdk.responses.create(**QUESTION, max_output_tokens=16)

    assert kinds[-1] == "response.incomplete"
    assert (whole.status, whole.incomplete_details.reason) == ("incomplete", "max_output_tokens")


async def test_equal_texts_have_equal_vectors_and_cost_what_they_hold(sdk: AsyncOpenAI):
    first = await sdk.embeddings.create(model="sandbox-embedding", input=["fare", "gate", "fare"], dimensions=8)
    floats = await sdk.embeddings.create(model="sandbox-embedding", input="fare", dimensions=8, encoding_format="float")

    vectors = [one.embedding for one in first.data]
    assert vectors[0] == vectors[2] != vectors[1]
    assert vectors[0] == pytest.approx(floats.data[0].embedding, abs=1e-6)
    assert first.usage.prompt_tokens == 3


async def test_the_list_holds_the_models_of_both_halves(sdk: AsyncOpenAI):
    listed = {model.id async for model in sdk.models.list()}

    assert {"sandbox-gpt", "sandbox-embedding", "claude-sonnet-5-5"} <= listed
    assert (await sdk.models.retrieve("sandbox-gpt")).owned_by == "sandbox"


async def test_the_log_names_what_was_asked_and_keeps_the_bytes(sdk: AsyncOpenAI, provider: Provider):
    stream = await sdk.chat.completions.create(
        **ASK, stream=True, stream_options={"include_usage": True}, **scenario("fast")
    )
    chunks = [chunk async for chunk in stream]

    call = provider.calls(limit=1)[0]
    assert (call["path"], call["model"], call["stream"], call["ended"]) == (
        "/v1/chat/completions", "sandbox-gpt", True, "completed",
    )  # fmt: skip
    assert call["usage"] == call["usage_if_finished"] == chunks[-1].usage.model_dump(exclude_none=True)
    assert provider.bytes(call["request_id"]).endswith(b"data: [DONE]\n\n")


async def test_no_answer_is_without_the_credential(provider: Provider):
    async with httpx2.AsyncClient(base_url=provider.base_url) as wire:
        answer = await wire.post("/v1/chat/completions", json=ASK, headers={"authorization": "Bearer sk-wrong"})

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"

"""The stand-in provider, judged by the official SDK."""

from typing import Any

import anthropic
import httpx2
import pytest
from anthropic import AsyncAnthropic

from sandbox.fixtures_outside import Provider

ASK: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 400,
    "messages": [{"role": "user", "content": "How far does a credit go?"}],
}
WEATHER = {
    "name": "get_weather",
    "description": "The weather at a place",
    "input_schema": {
        "type": "object",
        "properties": {"place": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["C", "F"]}},
    },
}


@pytest.fixture
async def sdk(provider: Provider):
    async with AsyncAnthropic(base_url=provider.base_url, api_key=provider.api_key, max_retries=0) as client:
        yield client


def scenario(text: str) -> dict[str, Any]:
    return {"extra_headers": {"x-sandbox-scenario": text}}


async def finished(sdk: AsyncAnthropic, text: str, **changes: Any):
    async with sdk.messages.stream(**{**ASK, **changes}, **scenario(text)) as stream:
        return await stream.get_final_message()


async def events(sdk: AsyncAnthropic, text: str, **changes: Any) -> list[Any]:
    stream = await sdk.messages.create(**{**ASK, **changes}, stream=True, **scenario(text))
    return [event async for event in stream]


async def test_a_plain_call_answers_with_text_and_usage(sdk: AsyncAnthropic):
    message = await sdk.messages.create(**ASK)

    assert message.content[0].text.startswith("This is the sandbox speaking")
    assert message.stop_reason == "end_turn"
    assert message.model == "claude-sonnet-5-5"
    assert message.usage.output_tokens == 40
    assert message.usage.input_tokens > 5
    assert message.usage.cache_creation.ephemeral_5m_input_tokens == 0
    assert message.usage.service_tier == "standard"


@pytest.mark.parametrize(
    "text",
    [
        "text", "thinking", "tools", "citations", "cache", "server-tools;web_search_requests=2", "unicode", "unknown",
        "multi-delta", "pings", "refusal", "refusal-midstream", "input_tokens=120000;output_tokens=300",
        "thinking+tools+cache+unicode;chunk=3",
    ],
)  # fmt: skip
async def test_a_stream_says_and_costs_what_the_same_call_does_without_one(sdk: AsyncAnthropic, text: str):
    streamed = await finished(sdk, f"{text};delay_ms=0")
    whole = await sdk.messages.create(**ASK, **scenario(text))

    left_out = {"id", "usage", "_request_id"}
    assert streamed.model_dump(exclude=left_out) == whole.model_dump(exclude=left_out)
    # The SDK keeps only the counts that it knows when it gathers a stream.
    novel = {"sandbox_unknown_tokens"}
    assert streamed.usage.model_dump(exclude=novel) == whole.usage.model_dump(exclude=novel)


async def test_the_same_request_gets_the_same_answer_and_another_gets_another(sdk: AsyncAnthropic):
    first, again = [await sdk.messages.create(**ASK) for _ in range(2)]
    other = await sdk.messages.create(**{**ASK, "messages": [{"role": "user", "content": "And a debit?"}]})

    assert first.content == again.content
    assert first.usage == again.usage
    assert first.id != again.id
    assert first.content != other.content


async def test_a_streams_events_come_in_the_providers_order(sdk: AsyncAnthropic):
    kinds = [event.type for event in await events(sdk, "delay_ms=0")]

    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}
    assert len(kinds) == 45


async def test_a_stream_starts_with_the_real_input_and_little_output(sdk: AsyncAnthropic):
    found = await events(sdk, "delay_ms=0;cache_5m=11;cache_1h=7;cache_read=5;input_tokens=90")

    start = found[0].message.usage
    assert (start.input_tokens, start.output_tokens) == (90, 1)
    assert (start.cache_creation_input_tokens, start.cache_read_input_tokens) == (18, 5)
    assert start.cache_creation.ephemeral_5m_input_tokens == 11
    assert start.cache_creation.ephemeral_1h_input_tokens == 7
    assert found[-2].usage.output_tokens == 40


async def test_thinking_is_streamed_with_its_signature_and_counted_in_the_output(sdk: AsyncAnthropic):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    found = await events(sdk, "delay_ms=0;thinking_tokens=25", thinking=thinking, max_tokens=2000)
    message = await finished(sdk, "delay_ms=0;thinking_tokens=25", thinking=thinking, max_tokens=2000)

    kinds = [event.delta.type for event in found if event.type == "content_block_delta"]
    assert kinds.index("signature_delta") < kinds.index("text_delta")
    assert kinds[0] == "thinking_delta"
    assert message.content[0].signature
    assert message.usage.output_tokens == 40
    assert message.usage.output_tokens_details.thinking_tokens == 25


async def test_thinking_that_is_not_to_be_shown_comes_as_a_signature_only(sdk: AsyncAnthropic):
    message = await finished(sdk, "delay_ms=0", thinking={"type": "adaptive", "display": "omitted"})

    assert (message.content[0].type, message.content[0].thinking) == ("thinking", "")
    assert message.content[0].signature


async def test_a_tool_call_fits_the_tools_schema(sdk: AsyncAnthropic):
    message = await finished(sdk, "delay_ms=0;tool_calls=2", tools=[WEATHER], tool_choice={"type": "any"})

    calls = [block for block in message.content if block.type == "tool_use"]
    assert message.stop_reason == "tool_use"
    assert [call.name for call in calls] == ["get_weather", "get_weather"]
    assert calls[0].input == {"place": "Lisbon", "days": 7, "unit": "C"}


async def test_a_web_search_shows_its_blocks_and_grows_the_input_counts(sdk: AsyncAnthropic):
    found = await events(sdk, "server-tools;web_search_requests=2;delay_ms=0;input_tokens=100")

    blocks = [event.content_block.type for event in found if event.type == "content_block_start"]
    assert blocks == ["server_tool_use", "web_search_tool_result"] * 2 + ["text"]
    assert found[0].message.usage.input_tokens == 100
    assert found[-2].usage.input_tokens > 100
    assert found[-2].usage.server_tool_use.web_search_requests == 2


async def test_iterations_name_the_other_model_and_stay_outside_the_totals(sdk: AsyncAnthropic):
    async with sdk.beta.messages.stream(**ASK, **scenario("iterations;delay_ms=0;other_model=claude-opus-5")) as stream:
        message = await stream.get_final_message()

    usage = message.usage
    by_kind = {entry.type: entry for entry in usage.iterations}
    assert list(by_kind) == ["compaction", "message", "advisor_message", "fallback_message"]
    assert by_kind["advisor_message"].model == by_kind["fallback_message"].model == "claude-opus-5"
    assert by_kind["fallback_message"].output_tokens == usage.output_tokens == 40
    assert by_kind["fallback_message"].input_tokens == usage.input_tokens
    assert [block.type for block in message.content] == [
        "compaction", "fallback", "server_tool_use", "advisor_tool_result", "text",
    ]  # fmt: skip
    assert message.content[1].to.model == "claude-opus-5"


async def test_several_message_deltas_are_cumulative(sdk: AsyncAnthropic):
    found = await events(sdk, "multi-delta;delay_ms=0;output_tokens=90")

    deltas = [event for event in found if event.type == "message_delta"]
    assert [delta.usage.output_tokens for delta in deltas] == [30, 60, 90]
    assert [delta.delta.stop_reason for delta in deltas] == [None, None, "end_turn"]


async def test_a_refusal_before_output_has_no_content_but_shows_tokens(sdk: AsyncAnthropic):
    message = await finished(sdk, "refusal;delay_ms=0;category=bio")

    assert message.content == []
    assert message.stop_reason == "refusal"
    assert message.stop_details.category == "bio"
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0


async def test_max_tokens_limits_the_answer(sdk: AsyncAnthropic):
    cut = await sdk.messages.create(**{**ASK, "max_tokens": 9})
    warmed = await sdk.messages.create(**{**ASK, "max_tokens": 0}, **scenario("cache"))

    assert (cut.usage.output_tokens, cut.stop_reason) == (9, "max_tokens")
    assert (warmed.usage.output_tokens, warmed.content) == (0, [])
    assert warmed.usage.cache_creation.ephemeral_1h_input_tokens == 500


async def test_a_long_answer_streams_in_a_bounded_number_of_deltas(sdk: AsyncAnthropic):
    found = await events(sdk, "output_tokens=20000;delay_ms=0", max_tokens=30_000)

    assert len(found) < 220
    assert found[-2].usage.output_tokens == 20_000


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("400", anthropic.BadRequestError),
        ("429", anthropic.RateLimitError),
        ("500", anthropic.InternalServerError),
        ("504", anthropic.APIStatusError),
        ("529", anthropic.APIStatusError),
    ],
)
async def test_a_status_that_was_asked_for_comes_in_the_envelope(
    sdk: AsyncAnthropic, name: str, error: type[Exception]
):
    with pytest.raises(error) as raised:
        await sdk.messages.create(**ASK, **scenario(f"{name};retry_after=17"))

    assert raised.value.status_code == int(name)
    assert raised.value.body["request_id"] == raised.value.response.headers["request-id"]
    assert raised.value.response.headers.get("retry-after") == ("17" if name == "429" else None)


async def test_a_spend_cap_refusal_has_no_retry_after(sdk: AsyncAnthropic):
    with pytest.raises(anthropic.RateLimitError) as raised:
        await sdk.messages.create(**ASK, **scenario("429;retry_after=none;message=spend cap"))

    assert "retry-after" not in raised.value.response.headers
    assert raised.value.body["error"]["message"] == "spend cap"


async def test_an_error_in_mid_stream_is_an_error_with_status_200(sdk: AsyncAnthropic):
    with pytest.raises(anthropic.APIStatusError) as raised:
        await finished(sdk, "error;delay_ms=0")

    assert raised.value.status_code == 200
    assert raised.value.body["error"]["type"] == "overloaded_error"


async def test_a_broken_off_stream_is_a_connection_error(sdk: AsyncAnthropic):
    with pytest.raises((anthropic.APIConnectionError, httpx2.RemoteProtocolError)) as raised:
        await finished(sdk, "truncate;delay_ms=0")

    assert "incomplete" in str(raised.value) or "peer closed" in str(raised.value)


async def test_a_wrong_credential_is_refused(provider: Provider):
    async with AsyncAnthropic(base_url=provider.base_url, api_key="sk-wrong", max_retries=0) as client:
        with pytest.raises(anthropic.AuthenticationError) as raised:
            await client.messages.create(**ASK)

    # This release of the SDK sends its API key as a bearer token.
    assert raised.value.body["error"] == {"type": "authentication_error", "message": "Invalid bearer token"}


async def test_a_wrong_x_api_key_is_refused_even_beside_a_good_token(provider: Provider, sdk: AsyncAnthropic):
    with pytest.raises(anthropic.AuthenticationError) as raised:
        await sdk.messages.create(**ASK, extra_headers={"x-api-key": "sk-wrong"})

    assert raised.value.body["error"] == {"type": "authentication_error", "message": "invalid x-api-key"}


async def test_a_bearer_token_is_as_good_as_a_key(provider: Provider):
    async with AsyncAnthropic(base_url=provider.base_url, auth_token=provider.api_key, max_retries=0) as client:
        message = await client.messages.create(**ASK)

    assert message.stop_reason == "end_turn"


async def test_an_unknown_model_is_not_found(sdk: AsyncAnthropic):
    with pytest.raises(anthropic.NotFoundError) as raised:
        await sdk.messages.create(**{**ASK, "model": "claude-nothing-1"})

    assert raised.value.body["error"] == {"type": "not_found_error", "message": "model: claude-nothing-1"}


async def test_a_scenario_can_stand_behind_the_model(sdk: AsyncAnthropic):
    message = await sdk.messages.create(**{**ASK, "model": "claude-sonnet-5-5@refusal;category=bio"})

    assert message.model == "claude-sonnet-5-5"
    assert message.stop_details.category == "bio"


async def test_counted_tokens_are_the_input_tokens_of_the_call(sdk: AsyncAnthropic):
    asked = {"model": ASK["model"], "messages": ASK["messages"], "tools": [WEATHER], "system": "Be brief."}

    counted = await sdk.messages.count_tokens(**asked)
    message = await sdk.messages.create(**asked, max_tokens=10)

    assert counted.input_tokens == message.usage.input_tokens


async def test_the_models_are_those_of_the_price_table_and_one_without_a_price(sdk: AsyncAnthropic):
    listed = [model async for model in sdk.models.list(limit=5)]
    one = await sdk.models.retrieve("claude-sonnet-4-5")

    names = {model.id for model in listed}
    assert {"claude-haiku-5-5", "claude-opus-4-8", "claude-fable-5-1", "claude-fable-5-2"} <= names
    assert len(names) == len(listed) == 21
    assert {model.id for model in listed if model.lifecycle == "deprecated"} == {
        "claude-sonnet-4-5", "claude-sonnet-4-5-20250929",
    }  # fmt: skip
    assert one.display_name == "Claude Sonnet 4.5"
    assert (one.line, one.max_tokens) == ("sonnet", 64_000)

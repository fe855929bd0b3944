"""A paid call with the official SDK: exactly the provider's bytes, exactly one event."""

import asyncio

import anthropic
import httpx2
import pytest

from sandbox.fixtures_outside import Provider

pytestmark = pytest.mark.long

ASK = {
    "model": "claude-haiku-5-5",
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "Hello, how far does a credit go?"}],
}


def scenario(text: str) -> dict[str, str]:
    return {"anthropic-sandbox-scenario": text}


def headers_of(account, text: str = "fast") -> dict[str, str]:
    return {"authorization": f"Bearer {account.token}", "anthropic-version": "2023-06-01", **scenario(text)}


async def post(gateway, account, text: str = "fast", *, stream: bool = True, **changes) -> httpx2.Response:
    async with httpx2.AsyncClient(timeout=30) as http:
        body = {**ASK, "stream": stream, **changes}
        return await http.post(f"{gateway.base_url}/v1/messages", json=body, headers=headers_of(account, text))


@pytest.mark.parametrize("credential", ["token", "key"])
async def test_the_official_sdk_streams_and_gets_the_providers_bytes(gateway, provider: Provider, usage_of, credential):
    account = gateway.account()
    given = {"auth_token": account.token} if credential == "token" else {"api_key": account.api_key}
    async with (
        anthropic.AsyncAnthropic(base_url=gateway.base_url, max_retries=0, **given) as client,
        client.messages.stream(**ASK, extra_headers=scenario("fast+thinking+pings")) as stream,
    ):
        message = await stream.get_final_message()
        request_id = stream.response.headers["request-id"]
        call_id = stream.response.headers["faregate-request-id"]

    (event,) = await usage_of(account.account_id)
    assert str(event.id) == call_id
    assert event.outcome == "completed"
    assert event.basis == "provider"
    assert event.counts.output_tokens == message.usage.output_tokens
    assert event.upstream_request_id == request_id
    assert event.streamed is True
    assert event.api_key_id == (account.api_key_id if credential == "key" else None)


@pytest.mark.parametrize("text", ["fast", "fast+unknown+pings", "unicode;chunk=3", "fast+server-tools+cache"])
@pytest.mark.parametrize("stream", [True, False])
async def test_every_byte_is_the_providers(gateway, provider: Provider, usage_of, text: str, stream):
    account = gateway.account()

    answer = await post(gateway, account, text, stream=stream)

    assert answer.status_code == 200
    assert answer.content == provider.bytes(answer.headers["request-id"])
    (event,) = await usage_of(account.account_id)
    (call,) = [call for call in provider.calls() if call["request_id"] == answer.headers["request-id"]]
    assert event.counts.input_tokens == call["usage"]["input_tokens"]
    assert event.counts.output_tokens == call["usage"]["output_tokens"]
    assert event.streamed is stream


async def test_streamed_and_not_streamed_cost_the_same(gateway, usage_of):
    account = gateway.account()
    await post(gateway, account, "fast+cache+server-tools+iterations")
    await post(gateway, account, "fast+cache+server-tools+iterations", stream=False)

    first, second = await usage_of(account.account_id, at_least=2)
    assert first.counts == second.counts
    assert first.iterations == second.iterations
    assert first.model_served == second.model_served
    assert first.counts.cache_write_1h_tokens == 500
    assert first.counts.cache_write_5m_tokens == 1000
    assert first.counts.web_search_requests == 1
    assert [one.model for one in first.iterations] == ["claude-haiku-4-5", "claude-haiku-4-5"]


async def test_the_event_carries_what_admission_stamped(gateway, book, usage_of):
    """(money.md 1, 12, 19)."""
    account = gateway.account()
    await post(gateway, account)

    (event,) = await usage_of(account.account_id)
    assert event.markup_bps == 1500
    assert event.price_book_version == book.version
    assert event.plan_id == "trial"
    assert sum(one.amount for one in event.allocation) > 0
    assert event.admitted_at <= event.first_byte_at <= event.ended_at


async def test_the_hold_becomes_the_price_before_the_answer_ends(gateway):
    """200 tokens of output are held and 40 used: what is left suffices for the next call only once that is settled."""
    account = gateway.account(credit=0.00025)

    answers = [await post(gateway, account) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 200]


async def test_a_client_that_leaves_is_charged_the_providers_final_count(gateway, provider: Provider, usage_of):
    """(money.md 13)."""
    account = gateway.account()
    async with httpx2.AsyncClient(timeout=30) as http:
        body = {**ASK, "stream": True}
        url = f"{gateway.base_url}/v1/messages"
        async with http.stream("POST", url, json=body, headers=headers_of(account, "delay_ms=20")) as answer:
            async for _ in answer.aiter_raw():
                break

    (event,) = await usage_of(account.account_id)
    assert event.outcome == "client_gone"
    assert event.basis == "provider"
    assert event.counts.output_tokens == 40


async def test_a_client_that_leaves_an_endless_answer_is_charged_an_estimate(gateway, usage_of):
    """(money.md 13)."""
    account = gateway.account()
    async with httpx2.AsyncClient(timeout=30) as http:
        body = {**ASK, "stream": True}
        url = f"{gateway.base_url}/v1/messages"
        async with http.stream("POST", url, json=body, headers=headers_of(account, "fast+hang;after=20")) as answer:
            async for _ in answer.aiter_raw():
                break

    (event,) = await usage_of(account.account_id)
    assert event.outcome == "client_gone"
    assert event.basis == "estimated"
    assert 10 <= event.counts.output_tokens <= 40
    assert event.counts.input_tokens > 0


@pytest.mark.parametrize(
    ("text", "outcome", "basis", "tail"),
    [
        ("fast+refusal", "refused", "none", b"event: message_stop"),
        ("fast+refusal-midstream", "completed", "provider", b"event: message_stop"),
        ("fast+error", "upstream_error", "estimated", b"event: error"),
        ("fast+error;after=1", "upstream_error", "none", b"event: error"),
        ("fast+truncate", "truncated", "estimated", b"event: error"),
        ("fast+eof", "truncated", "estimated", b"event: error"),
        ("fast+eof;after=1", "truncated", "none", b"event: error"),
    ],
)
async def test_each_ending_has_its_outcome(gateway, usage_of, text, outcome, basis, tail):
    """(money.md 13)."""
    account = gateway.account()

    answer = await post(gateway, account, text)

    assert answer.status_code == 200
    assert answer.content.rstrip().rpartition(b"\n\n")[2].startswith(tail)
    (event,) = await usage_of(account.account_id)
    assert (event.outcome, event.basis) == (outcome, basis)
    if basis == "none":
        assert event.counts.input_tokens == event.counts.output_tokens == 0


async def test_a_broken_stream_raises_in_the_sdk(gateway):
    account = gateway.account()
    async with anthropic.AsyncAnthropic(base_url=gateway.base_url, auth_token=account.token, max_retries=0) as client:
        with pytest.raises(anthropic.APIStatusError):
            async with client.messages.stream(**ASK, extra_headers=scenario("fast+eof")) as stream:
                await stream.get_final_message()


async def test_a_message_that_breaks_off_is_free_and_an_error(gateway, usage_of):
    """(money.md 13)."""
    account = gateway.account()

    answer = await post(gateway, account, "truncate", stream=False)

    assert answer.status_code == 529
    assert answer.json()["error"]["type"] == "overloaded_error"
    (event,) = await usage_of(account.account_id)
    assert (event.outcome, event.basis) == ("truncated", "none")


@pytest.mark.parametrize("status", [400, 404, 413])
async def test_the_providers_word_on_the_clients_fault_passes_byte_for_byte_and_is_free(
    gateway, provider, usage_of, status: int
):
    """(money.md 13)."""
    account = gateway.account()

    answer = await post(gateway, account, f"{status};retry_after=7")

    assert answer.status_code == status
    assert answer.content == provider.bytes(answer.headers["request-id"])
    assert answer.headers["x-should-retry"] == "false"
    (event,) = await usage_of(account.account_id)
    assert (event.outcome, event.basis, event.http_status) == ("upstream_error", "none", status)


@pytest.mark.parametrize("status", [403, 500, 529])
async def test_the_providers_own_trouble_passes_byte_for_byte_and_is_free(gateway_at, provider, usage_of, status: int):
    """(money.md 13)."""
    async with gateway_at(provider.base_url, provider.api_key) as gateway:
        account = gateway.account()
        answer = await post(gateway, account, f"{status};retry_after=7")

    assert answer.status_code == status
    assert answer.content == provider.bytes(answer.headers["request-id"])
    assert answer.headers["x-should-retry"] == ("true" if status >= 500 else "false")
    assert ("retry-after" in answer.headers) is (status == 529)
    (event,) = await usage_of(account.account_id)
    assert (event.outcome, event.basis, event.http_status) == ("upstream_error", "none", status)


async def test_the_operators_rate_limit_is_not_the_clients(gateway_at, provider, usage_of):
    async with gateway_at(provider.base_url, provider.api_key) as gateway:
        account = gateway.account()
        answer = await post(gateway, account, "429;retry_after=7")
        again = await post(gateway, account)

    for refused in (answer, again):
        assert refused.status_code == 529
        assert refused.json()["error"]["type"] == "overloaded_error"
        assert refused.headers["x-should-retry"] == "true"
    assert answer.headers["retry-after"] == "7"
    assert 1 <= int(again.headers["retry-after"]) <= 7
    (event,) = await usage_of(account.account_id)
    assert (event.outcome, event.basis, event.http_status) == ("upstream_error", "none", 429)


@pytest.mark.parametrize("status", [401, 402])
async def test_the_operators_own_trouble_is_never_the_clients(gateway_at, provider, status: int):
    async with gateway_at(provider.base_url, provider.api_key) as gateway:
        answer = await post(gateway, gateway.account(), str(status))

    assert answer.status_code == 503
    assert answer.json()["error"]["type"] == "api_error"
    assert answer.headers["retry-after"]


async def test_headers_pass_as_they_should(gateway, provider: Provider):
    account = gateway.account()
    sent = [
        ("authorization", f"Bearer {account.token}"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "one-2026"),
        ("anthropic-beta", "two-2026"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-faregate-account", "me"),
        ("anthropic-sandbox-scenario", "fast"),
    ]
    async with httpx2.AsyncClient() as http:
        answer = await http.post(f"{gateway.base_url}/v1/messages?beta=true", json=ASK, headers=sent)

    (call,) = [call for call in provider.calls() if call["request_id"] == answer.headers["request-id"]]
    assert call["anthropic_headers"]["anthropic-beta"] == "one-2026, two-2026"
    assert not {"authorization", "cookie", "x-forwarded-for", "x-faregate-account"} & set(call["headers"])
    assert "anthropic-organization-id" not in answer.headers
    assert not [name for name in answer.headers if name.startswith("anthropic-ratelimit")]
    assert answer.headers["x-accel-buffering"] == "no"


async def test_bytes_arrive_while_the_model_still_speaks(gateway):
    account = gateway.account()
    async with httpx2.AsyncClient(timeout=30) as http:
        body = {**ASK, "stream": True}
        url = f"{gateway.base_url}/v1/messages"
        async with http.stream("POST", url, json=body, headers=headers_of(account, "delay_ms=30")) as answer:
            arrived = [asyncio.get_running_loop().time() async for _ in answer.aiter_raw()]

    assert len(arrived) > 20
    assert arrived[-1] - arrived[0] > 0.6


async def test_a_call_that_was_swept_ends_with_an_error_and_reports_what_was_delivered(gateway, usage_of):
    """(money.md 6, 14)."""
    account = gateway.account()
    calling = asyncio.create_task(post(gateway, account, "delay_ms=50"))
    async with asyncio.timeout(20):
        while not gateway.parts.admission.open_calls:  # noqa: ASYNC110  # until it is admitted
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.4)  # and something is delivered
    (call_id,) = gateway.parts.admission.open_calls

    gateway.parts.admission.on_swept(call_id)
    answer = await calling

    assert answer.content.rstrip().rpartition(b"\n\n")[2].startswith(b"event: error")
    (event,) = await usage_of(account.account_id)
    assert (event.outcome, event.basis, event.error_type) == ("truncated", "estimated", "swept")


async def test_a_provider_that_is_not_there_is_overloaded_and_free(stack, topics, book, usage_of, gateway_at):
    async with gateway_at("http://127.0.0.1:1") as unreachable:
        account = unreachable.account()
        answer = await post(unreachable, account)
    assert answer.status_code == 529
    assert answer.json()["error"]["type"] == "overloaded_error"
    assert answer.headers["x-should-retry"] == "true"
    (event,) = await usage_of(account.account_id)
    assert (event.outcome, event.basis, event.http_status) == ("upstream_error", "none", None)

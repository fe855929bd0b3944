"""Every paid route through a whole gateway: other surfaces, elastic holds, headers, free routes."""

import asyncio
import hashlib

import httpx2
import orjson
import pytest

from contracts.ledger import Limits
from contracts.terms import Terms

MODEL = "claude-haiku-5-5"
MESSAGES = [{"role": "user", "content": "Hello"}]
ASK = {"model": MODEL, "max_tokens": 200, "messages": MESSAGES}


async def post(gateway, account, path: str, body: dict, scenario: str = "fast") -> httpx2.Response:
    headers = {
        "authorization": f"Bearer {account.token}",
        "anthropic-version": "2023-06-01",
        "anthropic-sandbox-scenario": scenario,
    }
    async with httpx2.AsyncClient(timeout=30) as http:
        return await http.post(gateway.base_url + path, json=body, headers=headers)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"model": MODEL, "max_tokens": 50, "messages": MESSAGES}),
        ("/v1/chat/completions", {"model": MODEL, "max_tokens": 50, "messages": MESSAGES, "stream": True}),
        ("/v1/responses", {"model": MODEL, "max_output_tokens": 50, "input": "Hello"}),
        ("/v1/responses", {"model": MODEL, "max_output_tokens": 50, "input": "Hello", "stream": True}),
        ("/api/claude/stream", {**ASK}),
        ("/api/v1/llm/invoke", {**ASK}),
        ("/generate", {"prompt": "Hello"}),
    ],
)
async def test_every_paid_route_is_metered_once(gateway, usage_of, path, body):
    account = gateway.account()

    answer = await post(gateway, account, path, body)

    assert answer.status_code == 200, answer.text
    assert answer.headers["faregate-estimated-cost"]
    (event,) = await usage_of(account.account_id)
    assert (event.outcome, event.basis, event.surface) == ("completed", "provider", path)
    assert event.counts.output_tokens > 0
    assert str(event.id) == answer.headers["faregate-request-id"]


async def test_a_stream_on_elastic_terms_ends_with_an_error_when_nothing_is_left(gateway, usage_of):
    """(money.md 8)."""
    terms = Terms(elastic_step_tokens=50)
    account = gateway.account(credit=0.0018, admission="elastic", terms=terms)
    body = {**ASK, "max_tokens": 4000, "stream": True}

    # The balance buys about 3,100 tokens, counted as high as they can be.
    answer = await post(gateway, account, "/v1/messages", body, "output_tokens=3900;delay_ms=1")

    last = answer.content.rstrip().rpartition(b"\n\n")[2]
    assert answer.status_code == 200
    assert last.startswith(b"event: error")
    assert b"billing_error" in last
    (event,) = await usage_of(account.account_id)
    assert (event.outcome, event.basis, event.basis_reason) == ("truncated", "estimated", "out_of_credit")
    assert 50 < event.counts.output_tokens < 3900
    assert sum(one.amount for one in event.allocation) <= 1_800_000


async def test_a_strict_account_with_as_little_is_refused_before(gateway):
    account = gateway.account(credit=0.0018)
    body = {**ASK, "max_tokens": 4000, "stream": True}
    assert (await post(gateway, account, "/v1/messages", body)).status_code == 402


async def test_limits_and_balance_are_told_in_headers(gateway):
    account = gateway.account(limits=Limits(requests_per_minute=60, tokens_per_minute=100_000, concurrency=5))

    answer = await post(gateway, account, "/v1/messages", ASK)

    assert answer.headers["anthropic-ratelimit-requests-limit"] == "60"
    assert int(answer.headers["anthropic-ratelimit-requests-remaining"]) < 60
    assert answer.headers["anthropic-ratelimit-input-tokens-limit"] == "100000"
    assert float(answer.headers["faregate-balance"]) < 100
    assert float(answer.headers["faregate-estimated-cost"]) > 0


async def test_a_refused_call_tells_its_estimate_too(gateway):
    answer = await post(gateway, gateway.account(credit=0.00001), "/v1/messages", ASK)
    assert answer.status_code == 402
    assert float(answer.headers["faregate-estimated-cost"]) > 0.0001


async def test_a_rate_is_429_with_the_time_to_wait_and_takes_nothing(gateway, usage_of):
    account = gateway.account(limits=Limits(requests_per_minute=1))

    first = await post(gateway, account, "/v1/messages", ASK)
    second = await post(gateway, account, "/v1/messages", ASK)

    assert (first.status_code, second.status_code) == (200, 429)
    assert second.json()["error"]["type"] == "rate_limit_error"
    assert int(second.headers["retry-after"]) > 0
    assert len(await usage_of(account.account_id)) == 1


async def test_concurrency_is_given_back_when_a_call_ends(gateway):
    account = gateway.account(limits=Limits(concurrency=1))
    body = {**ASK, "stream": True}
    slow = asyncio.create_task(post(gateway, account, "/v1/messages", body, "delay_ms=30"))
    async with asyncio.timeout(20):
        while not gateway.parts.admission.open_calls:  # noqa: ASYNC110  # until it is admitted
            await asyncio.sleep(0.02)

    refused = await post(gateway, account, "/v1/messages", ASK)
    await slow
    after = await post(gateway, account, "/v1/messages", ASK)

    assert refused.status_code == 429
    assert after.status_code == 200


async def test_openais_errors_have_openais_shape(gateway):
    answer = await post(gateway, gateway.account(credit=0), "/v1/chat/completions", {**ASK})
    assert answer.status_code == 402
    assert "type" not in answer.json()
    assert answer.json()["error"]["code"] == "insufficient_quota"


async def test_only_the_models_of_the_plan_are_listed_and_served(gateway):
    account = gateway.account(models=("claude-opus-5-5",))
    headers = {"authorization": f"Bearer {account.token}"}
    async with httpx2.AsyncClient(base_url=gateway.base_url, headers=headers) as http:
        listed = (await http.get("/v1/models?limit=1000")).json()
        other = await http.get(f"/v1/models/{MODEL}")
        hello = await http.head("/api/hello")

    assert {entry["id"] for entry in listed["data"]} <= {"claude-opus-5-5", "best", "fast"}
    assert "claude-opus-5-5" in {entry["id"] for entry in listed["data"]}
    assert listed["object"] == "list"
    assert other.status_code == 404
    assert hello.status_code == 200


async def test_a_conversation_that_no_target_answers_goes_to_the_next_provider(
    gateway_at, provider, usage_of, tmp_path
):
    routing = tmp_path / "routing.toml"
    routing.write_text(
        f"""
[providers.dead]
kind = "anthropic"
address = "http://127.0.0.1:1"
credentials = [{{ id = "main", secret = "env:FAREGATE_ANTHROPIC_API_KEY" }}]
[providers.live]
kind = "anthropic"
address = "{provider.base_url}"
credentials = [{{ id = "main", secret = "env:FAREGATE_ANTHROPIC_API_KEY" }}]
[routes.first]
provider = "dead"
models = ["*"]
order = 1
[routes.second]
provider = "live"
models = ["*"]
order = 2
""",
        encoding="utf-8",
    )
    async with gateway_at(provider.base_url, provider.api_key, routing=routing) as failing:
        account = failing.account()
        answers = [await post(failing, account, "/v1/messages", {**ASK, "stream": True}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert b"message_stop" in answers[0].content
    events = await usage_of(account.account_id, at_least=2)
    assert {event.route for event in events} == {"second"}
    assert max(event.attempts for event in events) == 2


async def test_a_body_is_passed_byte_for_byte(gateway, provider):
    account = gateway.account()
    raw = orjson.dumps(ASK).replace(b'"max_tokens"', b' "temperature" : 1.0e0 ,\n\t"max_tokens" ')
    headers = {"authorization": f"Bearer {account.token}", "anthropic-version": "2023-06-01"}
    async with httpx2.AsyncClient() as http:
        answer = await http.post(f"{gateway.base_url}/v1/messages", content=raw, headers=headers)

    assert answer.status_code == 200, answer.text
    (call,) = [call for call in provider.calls() if call["request_id"] == answer.headers["request-id"]]
    assert call["body_sha256"] == hashlib.sha256(raw).hexdigest()

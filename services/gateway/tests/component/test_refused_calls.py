"""What never reaches the provider: bad credentials, bodies that cannot be priced, accounts without credit."""

import asyncio
import json
from datetime import UTC, datetime
from uuid import uuid4

import anthropic
import httpx2
import jwt
import orjson
import pytest

from contracts.auth import ApiKeyChanged
from contracts.gateway import CallsRefused
from kit import apikeys
from kit.testing import Signer

ASK = {"model": "claude-haiku-5-5", "max_tokens": 200, "messages": [{"role": "user", "content": "Hello"}]}
MODEL = "/v1/messages"


async def post(gateway, *, headers: dict[str, str], content: bytes | None = None, path: str = MODEL, **changes):
    body = content if content is not None else json.dumps({**ASK, **changes}).encode()
    given = {"anthropic-version": "2023-06-01", "anthropic-sandbox-scenario": "fast", **headers}
    async with httpx2.AsyncClient(timeout=30) as http:
        return await http.post(gateway.base_url + path, content=body, headers=given)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def assert_envelope(answer: httpx2.Response, *, status: int, kind: str) -> str:
    body = answer.json()
    assert (answer.status_code, body["type"], body["error"]["type"]) == (status, "error", kind)
    assert body["request_id"] == answer.headers["request-id"]
    message: str = body["error"]["message"]
    return message


async def bad_credentials(gateway) -> dict[str, dict[str, str]]:
    account = gateway.account()
    good = jwt.decode(account.token, options={"verify_signature": False})
    forger = Signer(issuer="http://faregate.test")
    expired = gateway.signer.user_token(account_id=account.account_id, lifetime_s=-60)
    head, claims, _ = account.token.split(".")
    return {
        "none": {},
        "basic": {"authorization": "Basic YTpi"},
        "garbage": bearer("garbage"),
        "forged": bearer(forger.user_token(account_id=account.account_id)),
        "expired": bearer(expired),
        "alg none": bearer(jwt.encode(good, key="", algorithm="none", headers={"typ": "at+jwt", "kid": "test-key"})),
        "no signature": bearer(f"{head}.{claims}."),
        "service token": bearer(gateway.signer.service_token("ledger", "gateway")),
        "mistyped key": {"x-api-key": account.api_key[:-1] + ("A" if account.api_key[-1] != "A" else "B")},
        "unknown key": {"x-api-key": apikeys.make("live")},
        "two different": {**bearer(account.token), "x-api-key": account.api_key},
    }


async def test_a_bad_credential_is_401_and_not_retried(gateway):
    for name, headers in (await bad_credentials(gateway)).items():
        for path in (MODEL, "/v1/messages/count_tokens"):
            answer = await post(gateway, headers=headers, path=path)
            assert answer.status_code == 401, name
            assert_envelope(answer, status=401, kind="authentication_error")
            assert answer.headers["x-should-retry"] == "false"


async def test_key_and_bearer_may_both_carry_the_same_credential(gateway):
    account = gateway.account()
    for credential in (account.token, account.api_key):
        answer = await post(gateway, headers={**bearer(credential), "x-api-key": credential})
        assert answer.status_code == 200


async def test_a_key_is_asked_of_auth_once(gateway):
    account = gateway.account()
    before = gateway.resolver.asked
    await asyncio.gather(*(post(gateway, headers={"x-api-key": account.api_key}) for _ in range(5)))
    assert gateway.resolver.asked == before + 1


async def test_auth_away_is_503_never_401(gateway):
    account = gateway.account()
    gateway.resolver.away = True
    try:
        answer = await post(gateway, headers={"x-api-key": account.api_key})
    finally:
        gateway.resolver.away = False
    assert_envelope(answer, status=503, kind="api_error")
    assert answer.headers["retry-after"] == "1"
    assert (await post(gateway, headers={"x-api-key": account.api_key})).status_code == 200


async def test_a_revoked_key_stops_within_five_seconds(gateway):
    account = gateway.account()
    assert (await post(gateway, headers={"x-api-key": account.api_key})).status_code == 200
    revoked = ApiKeyChanged(
        id=uuid4(),
        time=datetime.now(UTC),
        account_id=account.account_id,
        api_key_id=account.api_key_id,
        user_id=uuid4(),
        version=2,
        state="revoked",
        key_sha256=apikeys.sha256_hex(account.api_key),
    )
    del gateway.resolver.tokens[account.api_key]
    await gateway.publish(revoked)

    async with asyncio.timeout(5):
        while (await post(gateway, headers={"x-api-key": account.api_key})).status_code != 401:  # noqa: ASYNC110  # another program's state
            await asyncio.sleep(0.1)


BAD_BODIES = {
    "not JSON": (b"{", "JSON"),
    "not an object": (b"[1]", "object"),
    "no model": (b'{"max_tokens":1,"messages":[]}', "model"),
    "model is a number": (b'{"model":1,"max_tokens":1}', "model"),
    "no max_tokens": (b'{"model":"claude-haiku-5-5"}', "max_tokens"),
    "max_tokens is text": (b'{"model":"claude-haiku-5-5","max_tokens":"9"}', "max_tokens"),
    "max_tokens is true": (b'{"model":"claude-haiku-5-5","max_tokens":true}', "max_tokens"),
    "max_tokens is negative": (b'{"model":"claude-haiku-5-5","max_tokens":-1}', "max_tokens"),
    "max_tokens is huge": (b'{"model":"claude-haiku-5-5","max_tokens":99999999999}', "max_tokens"),
    "stream is text": (b'{"model":"claude-haiku-5-5","max_tokens":1,"stream":"yes"}', "stream"),
    "speed is not sold": (b'{"model":"claude-haiku-5-5","max_tokens":1,"speed":"fast"}', "speed"),
    "geography is not sold": (b'{"model":"claude-haiku-5-5","max_tokens":1,"inference_geo":"moon"}', "inference_geo"),
    "max_tokens twice": (b'{"model":"claude-haiku-5-5","max_tokens":1,"max_tokens":9}', "max_tokens"),
    "model twice, once in disguise": (
        rb'{"model":"claude-haiku-5-5","mod\u0065l":"claude-opus-5-5","max_tokens":1}',
        "model",
    ),
    "uses are text": (
        b'{"model":"claude-haiku-5-5","max_tokens":1,"tools":[{"type":"web_search_20250305","max_uses":"x"}]}',
        "max_uses",
    ),
    "broken UTF-8": (b'{"model":"\xff"}', "JSON"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_a_body_that_cannot_be_priced_is_400_naming_the_field(gateway, provider, name: str):
    content, field = BAD_BODIES[name]
    provider.forget()

    answer = await post(gateway, headers=bearer(gateway.account().token), content=content)

    assert field in assert_envelope(answer, status=400, kind="invalid_request_error")
    assert answer.headers["x-should-retry"] == "false"
    assert provider.calls() == []


async def test_an_oversized_body_is_413(gateway):
    big = json.dumps({**ASK, "messages": [{"role": "user", "content": "x" * (32 << 20)}]}).encode()

    answer = await post(gateway, headers=bearer(gateway.account().token), content=big)

    assert_envelope(answer, status=413, kind="request_too_large")


async def test_a_body_without_length_is_bounded_too(gateway):
    async def parts():
        for _ in range(33):
            yield b"x" * (1 << 20)

    async with httpx2.AsyncClient(timeout=30) as http:
        answer = await http.post(gateway.base_url + MODEL, content=parts(), headers=bearer(gateway.account().token))

    assert_envelope(answer, status=413, kind="request_too_large")


@pytest.mark.parametrize("model", ["claude-fable-5-2", "gpt-9", "claude-haiku-5-5@fast"])
async def test_a_model_without_a_price_is_not_found(gateway, model: str):
    account = gateway.account()
    for path in (MODEL, "/v1/messages/count_tokens"):
        answer = await post(gateway, headers=bearer(account.token), path=path, model=model)
        assert model in assert_envelope(answer, status=404, kind="not_found_error")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_a_wrong_method_is_405_in_the_envelope(gateway, method: str):
    async with httpx2.AsyncClient() as http:
        answer = await http.request(method, gateway.base_url + MODEL)
    assert_envelope(answer, status=405, kind="invalid_request_error")
    assert answer.headers["allow"] == "POST"


async def test_too_few_credits_are_402_with_what_is_needed(gateway, kafka_records):
    account = gateway.account(credit=0.00001, arming=3)

    answer = await post(gateway, headers=bearer(account.token))
    again = await post(gateway, headers=bearer(account.token))

    message = assert_envelope(answer, status=402, kind="billing_error")
    error = answer.json()["error"]
    assert error["balance"] == "0.00001"
    assert float(error["required"]) > 0.0001
    assert error["upgrade_url"] == "http://faregate.test/billing/offers"
    assert error["details"]["error_code"] == "insufficient_credits"
    assert error["balance"] in message
    assert error["required"] in message
    assert answer.headers["x-should-retry"] == "false"
    assert again.status_code == 402
    told = [value for key, value in await kafka_records(CallsRefused.type) if key == str(account.account_id).encode()]
    (event,) = [CallsRefused.from_envelope(orjson.loads(value)) for value in told]
    assert (event.arming, event.reason, event.available_nano) == (3, "credit", 10_000)


async def test_the_sdk_raises_402_at_once(gateway):
    account = gateway.account(credit=0)
    async with anthropic.AsyncAnthropic(base_url=gateway.base_url, api_key=account.api_key) as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await client.messages.create(**ASK)
    assert caught.value.status_code == 402


@pytest.mark.parametrize(
    ("changes", "status", "kind"),
    [
        ({"state": "frozen"}, 403, "permission_error"),
        ({"state": "closed"}, 403, "permission_error"),
        ({"models": ("claude-opus-5-5",)}, 404, "not_found_error"),
    ],
)
async def test_an_account_that_may_not_is_told_why(gateway, changes, status, kind):
    account = gateway.account(**changes)
    assert_envelope(await post(gateway, headers=bearer(account.token)), status=status, kind=kind)


async def test_an_account_that_the_ledger_does_not_know_yet_is_503(gateway):
    token = gateway.signer.user_token(account_id=uuid4())
    answer = await post(gateway, headers=bearer(token))
    assert_envelope(answer, status=503, kind="api_error")
    assert answer.headers["retry-after"]


async def test_a_refused_call_leaves_no_event_and_no_hold(gateway, usage_of):
    account = gateway.account(credit=0.00001)
    await post(gateway, headers=bearer(account.token))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await usage_of(account.account_id)


async def test_counting_tokens_is_free(gateway):
    account = gateway.account(credit=0)
    answer = await post(
        gateway,
        headers=bearer(account.token),
        path="/v1/messages/count_tokens",
        content=json.dumps({k: v for k, v in ASK.items() if k != "max_tokens"}).encode(),
    )
    assert answer.json()["input_tokens"] > 0


async def test_only_models_with_a_price_are_listed(gateway, book):
    account = gateway.account(credit=0)
    async with anthropic.AsyncAnthropic(base_url=gateway.base_url, auth_token=account.token) as client:
        listed = [model.id async for model in await client.models.list(limit=1000)]
        one = await client.models.retrieve("claude-opus-5-5")
        with pytest.raises(anthropic.NotFoundError):
            await client.models.retrieve("claude-fable-5-2")
    assert one.id == "claude-opus-5-5"
    assert {"best", "fast"} <= set(listed)
    assert set(listed) - {"best", "fast"} <= set(book.rates)
    assert "claude-fable-5-2" not in listed
    assert len(listed) > 10


async def test_the_claude_code_probe_is_answered(gateway):
    async with httpx2.AsyncClient() as http:
        answer = await http.head(f"{gateway.base_url}/api/hello")
    assert answer.status_code == 200

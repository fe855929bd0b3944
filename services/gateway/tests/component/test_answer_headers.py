"""What every answer of the model API says about itself: which request it was, and what the call may cost."""

import httpx2
import pytest
import pytest_asyncio

from contracts.terms import Limits

ASK = {"model": "claude-haiku-5-5", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}
IMAGE = {"operation": "image"}


@pytest_asyncio.fixture(loop_scope="session")
async def http(gateway):
    headers = {"anthropic-version": "2023-06-01", "anthropic-sandbox-scenario": "fast"}
    async with httpx2.AsyncClient(base_url=gateway.base_url, headers=headers, timeout=40) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/messages", 200),
        ("POST", "/v1/chat/completions", 200),
        ("POST", "/v1/messages/count_tokens", 200),
        ("POST", "/v1/quote", 200),
        ("GET", "/v1/models", 200),
        ("GET", "/v1/models/claude-haiku-5-5", 200),
        ("GET", "/v1/models/nothing", 404),
        ("GET", "/v1/limits", 200),
        ("GET", "/api/hello", 200),
        ("GET", "/v1/messages", 405),
        ("GET", "/v1/nothing", 404),
        ("POST", "/v1/holds", 400),
        ("GET", "/v1/holds/nothing", 404),
    ],
)
async def test_every_answer_names_its_request(gateway, http, method: str, path: str, status: int):
    account = gateway.account()
    counted = {name: value for name, value in ASK.items() if name != "max_tokens" or "count" not in path}
    body = {"json": counted} if method == "POST" else {}

    answer = await http.request(method, path, headers={"x-api-key": account.api_key}, **body)

    assert answer.status_code == status, answer.text
    assert answer.headers["faregate-request-id"]
    assert ("faregate-estimated-cost" in answer.headers) == (
        path in {"/v1/messages", "/v1/chat/completions"} and status == 200
    )


async def test_a_request_that_is_refused_before_it_is_read_is_named_too(http):
    answer = await http.post("/v1/messages", content=b"{}", headers={"content-encoding": "gzip"})

    assert answer.status_code == 400
    assert answer.headers["faregate-request-id"] == answer.json()["request_id"]


@pytest.mark.parametrize(
    ("changes", "status"), [({"credit": 0}, 402), ({"limits": Limits(requests_per_minute=1)}, 429)]
)
@pytest.mark.parametrize(("path", "body"), [("/v1/messages", ASK), ("/v1/usage", IMAGE)])
async def test_a_refused_call_says_what_it_could_have_cost(gateway, http, changes, status: int, path: str, body):
    account = gateway.account(**changes)
    headers = {"x-api-key": account.api_key}

    answers = [await http.post(path, json=body, headers={**headers, "idempotency-key": key}) for key in ("a", "b")]

    assert answers[1].status_code == status, answers[1].text
    assert float(answers[1].headers["faregate-estimated-cost"]) > 0


async def test_health_is_what_readiness_says(gateway, http):
    well = await http.get("/api/health")
    gateway.parts.calls.closing = True
    try:
        closing = await http.get("/api/health")
    finally:
        gateway.parts.calls.closing = False

    assert (well.status_code, well.json()) == (200, {"status": "ok"})
    assert (closing.status_code, closing.json()) == (503, {"status": "unavailable"})


async def test_a_quote_takes_as_large_a_body_as_the_call_itself(gateway, http):
    account = gateway.account(credit=1000)
    body = {**ASK, "messages": [{"role": "user", "content": "Hello " * 500_000}]}

    answer = await http.post("/v1/quote", json=body, headers={"x-api-key": account.api_key})

    assert answer.status_code == 200, answer.text
    assert answer.json()["worst"]["tokens"] > 100_000

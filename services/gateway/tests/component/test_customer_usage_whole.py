"""Customers' operations with all parts of a real gateway: keys of auth, journal, Kafka, the real scripts."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI

from contracts.gateway import UsageRecorded
from gateway.entrypoints.own import OwnParts, build_routers
from gateway.surfaces.anthropic.messages import MessagesSurface
from gateway.surfaces.estimates import Estimator

UsageOf = Callable[..., Awaitable[list[UsageRecorded]]]


async def ready() -> None:
    raise RuntimeError("not yet")


@pytest.fixture
def own_routes(gateway: Any) -> httpx2.AsyncClient:
    """The routes alone, over the parts of the running gateway."""
    parts = gateway.parts
    app = FastAPI()
    own = OwnParts(
        admission=parts.admission,
        redis=parts.redis,
        journal=parts.durability.journal,
        publisher=parts.publisher,
        refusals=parts.durability.refusals,
        prices=parts.prices,
        routing=parts.routing,
        surfaces=[MessagesSurface(Estimator())],
        credentials=parts.credentials,
        services=parts.services,
        auth_url="http://127.0.0.1:1",
        ledger_url="http://127.0.0.1:1",
        upgrade_url="http://upgrade.test",
        secret=b"secret",
        clock=parts.clock,
        ready=ready,
    )
    for router in build_routers(own):
        app.include_router(router)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://gateway.test")


async def test_usage_reaches_kafka_once_with_its_key_and_is_settled(
    gateway: Any, own_routes: httpx2.AsyncClient, usage_of: UsageOf
) -> None:
    account = gateway.account(credit=1)
    headers = {"x-api-key": account.api_key, "idempotency-key": "key-1"}

    answers = [await own_routes.post("/v1/usage", json={"operation": "image"}, headers=headers) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
    assert answers[0].content == answers[1].content
    [told] = await usage_of(account.account_id)
    assert told.id == UUID(answers[0].json()["request_id"])
    assert told.operation is not None
    assert (told.operation.idempotency_key, told.surface, told.api_key_id) == ("key-1", "/v1/usage", account.api_key_id)
    limits = (await own_routes.get("/v1/limits", headers={"x-api-key": account.api_key})).json()
    assert {one["unit"]: one["available"] for one in limits["amounts"]}["credit"] == "0.954"
    assert told.id not in gateway.parts.admission.open_calls


async def test_a_hold_is_journalled_but_not_open_and_its_end_reaches_kafka(
    gateway: Any, own_routes: httpx2.AsyncClient, usage_of: UsageOf
) -> None:
    account = gateway.account(credit=1)
    journal = gateway.parts.durability.journal
    open_before = journal.open_calls
    headers = {"x-api-key": account.api_key, "idempotency-key": "key-1"}

    hold = await own_routes.post("/v1/holds", json={"operation": "agent_run"}, headers=headers)
    assert hold.status_code == 201, hold.text
    await asyncio.sleep(0.01)
    assert journal.open_calls == open_before
    released = await own_routes.post(f"/v1/holds/{hold.json()['id']}/release", headers={"x-api-key": account.api_key})

    assert released.status_code == 200
    [told] = await usage_of(account.account_id)
    assert (told.outcome, told.basis, told.basis_reason) == ("completed", "none", "released")


async def test_a_session_token_a_bad_key_and_no_credential_are_refused_in_the_envelope(
    gateway: Any, own_routes: httpx2.AsyncClient
) -> None:
    account = gateway.account()
    asking = {"idempotency-key": "k"}
    for headers, status in (
        ({"authorization": f"Bearer {account.token}"}, 403),
        ({"x-api-key": account.api_key[:-1] + "0"}, 401),
        ({}, 401),
    ):
        answer = await own_routes.post("/v1/usage", json={"operation": "image"}, headers=asking | headers)
        assert answer.status_code == status, answer.text
        assert answer.json()["type"] == "error"
        assert answer.headers["x-should-retry"] == "false"


async def test_a_quote_is_answered_to_sessions_too(gateway: Any, own_routes: httpx2.AsyncClient) -> None:
    account = gateway.account(credit=1)
    body = {"model": "claude-haiku-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}

    answer = await own_routes.post("/v1/quote", json=body, headers={"authorization": f"Bearer {account.token}"})

    assert answer.status_code == 200, answer.text
    assert (answer.json()["model"], answer.json()["admitted"]) == ("claude-haiku-5-5", True)


async def test_health_says_when_no_calls_are_taken(own_routes: httpx2.AsyncClient) -> None:
    answer = await own_routes.get("/api/health")

    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable"})


async def test_a_ledger_that_is_away_is_a_503_on_the_alias(gateway: Any, own_routes: httpx2.AsyncClient) -> None:
    account = gateway.account()

    answer = await own_routes.get("/api/v1/llm/balance", headers={"x-api-key": account.api_key})

    assert answer.status_code == 503
    assert "retry-after" in answer.headers

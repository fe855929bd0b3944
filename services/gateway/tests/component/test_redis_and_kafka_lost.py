"""Ended calls that only the spool knows: Redis may lose them, admission may not (money.md 29)."""

import asyncio
import contextlib
from uuid import UUID

import httpx2
import pytest
import pytest_asyncio

from contracts.money import NANO_PER_CREDIT
from sandbox.stack.ports import free_ports
from sandbox.stack.redis import Redis

pytestmark = pytest.mark.long

ASK = {"model": "claude-haiku-5-5", "max_tokens": 200, "messages": [{"role": "user", "content": "Hello"}]}
FULL_NANO = 100 * NANO_PER_CREDIT


@pytest_asyncio.fixture(loop_scope="session")
async def own_redis(tmp_path):
    server = Redis(tmp_path / "redis", port=free_ports(1)[0], log_path=tmp_path / "redis.log")
    await server.start()
    yield server
    await server.stop()


@contextlib.asynccontextmanager
async def kafka_stopped(stack):
    await stack.kafka.stop()
    try:
        yield
    finally:
        await stack.kafka.start()


async def lose(redis):
    await redis.kill()
    for file in redis._folder.rglob("*"):
        if file.is_file():
            file.unlink()
    await redis.start()


async def call_and_use(gateway, account) -> set[UUID]:
    """A model call and an operation of the customer's own."""
    async with httpx2.AsyncClient(timeout=40, base_url=gateway.base_url) as http:
        headers = {
            "authorization": f"Bearer {account.token}",
            "anthropic-version": "2023-06-01",
            "anthropic-sandbox-scenario": "fast",
        }
        called = await http.post("/v1/messages", json=ASK, headers=headers)
        headers = {"x-api-key": account.api_key, "idempotency-key": "key-1"}
        used = await http.post("/v1/usage", json={"operation": "image"}, headers=headers)
    assert (called.status_code, used.status_code) == (200, 200), (called.text, used.text)
    return {UUID(called.headers["faregate-request-id"]), UUID(used.json()["request_id"])}


async def available_nano(gateway, account) -> int:
    async with asyncio.timeout(20):
        await gateway.parts.admission.learn_terms(account.account_id)
        standing = await gateway.parts.admission.state(account.account_id)
    return standing.units["credit"].available


async def until_replayed(gateway) -> None:
    async with asyncio.timeout(40):
        while gateway.parts.durability.spool.used_bytes:  # noqa: ASYNC110  # another task's state
            await asyncio.sleep(0.1)


async def test_calls_that_only_the_spool_knows_still_count_when_redis_has_lost_them(
    stack, topics, provider, gateway_at, own_redis
):
    async with gateway_at(provider.base_url, provider.api_key, redis_url=own_redis.url) as gateway:
        account = gateway.account(credit=100)
        async with kafka_stopped(stack):
            calls = await call_and_use(gateway, account)
            left_nano = await available_nano(gateway, account)
            await lose(own_redis)
            left_after_nano = await available_nano(gateway, account)
        await until_replayed(gateway)
        booked = gateway.ledger.snapshots[account.account_id].model_copy(update={"version": 2, "applied": tuple(calls)})
        await gateway.parts.admission.apply_snapshot(booked)
        left_when_booked_nano = await available_nano(gateway, account)
        await lose(own_redis)
        left_at_last_nano = await available_nano(gateway, account)

    assert left_nano < FULL_NANO - NANO_PER_CREDIT // 100
    assert left_after_nano == left_nano
    # This ledger books without burning: what is confirmed counts no more.
    assert (left_when_booked_nano, left_at_last_nano) == (FULL_NANO, FULL_NANO)

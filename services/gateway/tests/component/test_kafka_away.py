"""Kafka away: calls go on as long as the spool has room, and none of their events is lost or told twice."""

import asyncio
import contextlib
import time
from uuid import uuid4

import httpx2
import pytest

pytestmark = pytest.mark.long

ASK = {"model": "claude-haiku-5-5", "max_tokens": 200, "messages": [{"role": "user", "content": "Hello"}]}


@contextlib.asynccontextmanager
async def kafka_stopped(stack, gateway):
    await stack.kafka.stop()
    try:
        yield
    finally:
        await stack.kafka.start()
        async with asyncio.timeout(40):
            while not gateway.parts.publisher.kafka_up:  # noqa: ASYNC110  # another program's state
                await asyncio.sleep(0.1)


async def post(gateway, account, text: str, *, stream: bool) -> httpx2.Response:
    headers = {
        "authorization": f"Bearer {account.token}",
        "anthropic-version": "2023-06-01",
        "anthropic-sandbox-scenario": text,
    }
    async with httpx2.AsyncClient(timeout=40) as http:
        return await http.post(f"{gateway.base_url}/v1/messages", json={**ASK, "stream": stream}, headers=headers)


@pytest.mark.parametrize("stream", [True, False])
async def test_kafka_that_stops_in_mid_call_costs_nobody_anything(stack, gateway, usage_of, stream):
    """(money.md 11, 12)."""
    account = gateway.account()
    text = "output_tokens=40;delay_ms=100" if stream else "first_byte_ms=3000"
    calling = asyncio.create_task(post(gateway, account, text, stream=stream))
    async with asyncio.timeout(20):
        while not gateway.parts.admission.open_calls:  # noqa: ASYNC110  # until it is admitted
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)  # and under way
    (admitted,) = gateway.parts.admission.open_calls

    began = time.monotonic()
    async with kafka_stopped(stack, gateway):
        answer = await calling
        another = await post(gateway, account, "fast", stream=True)
        took_s = time.monotonic() - began

    assert took_s < 30
    assert (answer.status_code, another.status_code) == (200, 200)
    if stream:
        assert answer.content.rstrip().rpartition(b"\n\n")[2].startswith(b"event: message_stop")
    events = await usage_of(account.account_id, at_least=2)
    assert {event.id for event in events} >= {admitted}
    assert {event.outcome for event in events} == {"completed"}
    async with asyncio.timeout(10):
        while gateway.parts.admission.open_calls:  # noqa: ASYNC110  # until it is settled
            await asyncio.sleep(0.05)


async def test_a_full_spool_takes_no_calls_and_makes_the_gateway_not_ready(stack, topics, provider, gateway_at):
    """(money.md 11)."""
    async with gateway_at(provider.base_url, provider.api_key, spool_bytes=1 << 20) as small:
        account = small.account(credit=1000)
        async with kafka_stopped(stack, small), httpx2.AsyncClient() as http:
            # Events that stand for many.
            for _ in range(4):
                await small.parts.publisher.store(uuid4(), uuid4(), b"{%b}" % (b" " * (300 << 10)))
            refused = await post(small, account, "fast", stream=False)
            ready = await http.get(f"{small.base_url}/health/ready")
            live = await http.get(f"{small.base_url}/health/live")
        async with asyncio.timeout(20):
            while (await post(small, account, "fast", stream=False)).status_code != 200:  # noqa: ASYNC110  # it is sent
                await asyncio.sleep(0.2)

    assert refused.status_code == 503
    assert refused.json()["error"]["type"] == "api_error"
    assert refused.headers["retry-after"]
    assert "recording" in ready.json()["failing"]
    assert (live.status_code, live.json()["failing"]) == (200, {})

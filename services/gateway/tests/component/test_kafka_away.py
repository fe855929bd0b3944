"""Kafka away: nothing is admitted; a call that runs ends with an error, and its hold stays."""

import asyncio
import contextlib
import time

import httpx2
import pytest

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
async def test_kafka_that_stops_in_mid_call_ends_it_with_an_error_and_no_settlement(stack, gateway, stream):
    """(money.md 12, 14)."""
    account = gateway.account()
    text = "output_tokens=40;delay_ms=100" if stream else "first_byte_ms=3000"
    calling = asyncio.create_task(post(gateway, account, text, stream=stream))
    await asyncio.sleep(0.7)
    admitted = gateway.parts.admission.open_calls
    assert len(admitted) == 1

    began = time.monotonic()
    async with kafka_stopped(stack, gateway):
        answer = await calling
        refused = await post(gateway, account, "fast", stream=True)

    assert time.monotonic() - began < 60
    if stream:
        last = answer.content.rstrip().rpartition(b"\n\n")[2]
        assert answer.status_code == 200
        assert last.startswith(b"event: error")
        assert b"message_stop" not in answer.content
    else:
        assert answer.status_code == 503
        assert answer.json()["error"]["type"] == "api_error"
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert gateway.parts.admission.open_calls == frozenset()
    held = await gateway.parts.redis.attempt(
        lambda session: session.command("HGETALL", f"{{{account.account_id}}}:calls")
    )
    assert str(next(iter(admitted))).encode() in held
    # What was not stored may be asked for again, and then it works.
    assert (await post(gateway, account, "fast", stream=True)).status_code == 200


async def test_readiness_tells_of_kafka(stack, gateway):
    async with kafka_stopped(stack, gateway), httpx2.AsyncClient() as http:
        async with asyncio.timeout(10):
            while (await http.get(f"{gateway.base_url}/health/ready")).status_code == 200:  # noqa: ASYNC110  # another program's state
                await asyncio.sleep(0.1)
        answer = await http.get(f"{gateway.base_url}/health/ready")
        live = await http.get(f"{gateway.base_url}/health/live")
    assert "kafka" in answer.json()["failing"]
    assert (live.status_code, live.json()["failing"]) == (200, {})

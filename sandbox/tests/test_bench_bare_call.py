"""The bare paid call, the limit of the benchmark, really pays: its figures would mean nothing otherwise."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from sandbox.bench.bare_call import INPUT_NANO, OUTPUT_NANO, TOPIC, listening
from sandbox.bench.bare_redis import account_id, account_keys
from sandbox.bench.load import request
from sandbox.bench.upstream import USAGE, Provider
from sandbox.demo.customer import until
from sandbox.stack import Stack
from sandbox.stack.ports import free_ports
from sandbox.testing import KafkaRecords, json_objects

PRICE_NANO = USAGE["input_tokens"] * INPUT_NANO + USAGE["output_tokens"] * OUTPUT_NANO


@pytest_asyncio.fixture
async def port(stack: Stack) -> AsyncIterator[int]:
    """Where the bare call listens, in front of the benchmark's provider."""
    own, upstream = free_ports(2)
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", upstream)
    bare = listening(own, upstream_port=upstream, redis_url=stack.redis_url, bootstrap=stack.kafka_bootstrap)
    async with server, bare:
        yield own


@pytest.mark.parametrize(("stream", "answer"), [(False, Provider.whole), (True, Provider.streamed)])
async def test_a_bare_call_passes_the_answer_on_and_is_paid_for_once(
    stack: Stack, port: int, kafka_records: KafkaRecords, *, stream: bool, answer: bytes
) -> None:
    account, calls, deadlines, unbooked = account_keys(account_id(1))

    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request("any", stream=stream))
    passed = await reader.readexactly(len(answer))

    recorded = json_objects(await kafka_records(TOPIC))[-1]
    assert passed == answer
    assert (recorded["subject"], recorded["data"]["usage"]) == (account_id(1).decode(), USAGE)
    async with Redis.from_url(stack.redis_url, decode_responses=True) as redis:
        await until("the call is settled", lambda: redis.hexists(unbooked, recorded["id"]))
        assert await redis.exists(calls, deadlines) == 0
        assert await redis.hmget(account, "held", "calls", "unbooked") == ["0", "0", str(PRICE_NANO)]
    writer.close()
    await writer.wait_closed()

"""A paid call and nothing else, in Python: the limit beside which the gateway's own figures are told.

    python -m sandbox.bench.bare_call PORT UPSTREAM_PORT REDIS_URL KAFKA_BOOTSTRAP

Protocols on both sides, one Redis script to admit and one to settle, the usage read from the bytes that pass, one event
that Kafka has acknowledged before the last bytes leave. There are no credentials, limits, journal, routes or failures:
what the gateway takes longer is what those cost, and how it does them. Prints `ready` once it can be called.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import urlsplit
from uuid import uuid4

import httptools
import orjson
import uvloop
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from sandbox.bench.bare_redis import ACCOUNTS, Redis, account_id, account_keys, nothing, prepared

TOPIC: Final = "bench.bare-call"
PARTITIONS: Final = 6
LINGER_MS: Final = 3
HOLD_MS: Final = 600_000
HOST: Final = "127.0.0.1"
INPUT_NANO: Final = 3_000
OUTPUT_NANO: Final = 15_000
BYTES_PER_TOKEN: Final = 2


@dataclass(slots=True)
class Parts:
    """What all calls share."""

    upstream_port: int
    redis: Redis
    producer: AIOKafkaProducer
    admit: bytes
    settle: bytes
    idle: "list[Provider]" = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    clients: int = 0

    def run(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


class Call:
    """From the request that was read whole to the settled price, one callback after the other."""

    __slots__ = (
        "_account",
        "_asked",
        "_began_s",
        "_client",
        "_hold_nano",
        "_id",
        "_keys",
        "_last",
        "_parts",
        "_usage",
        "request",
    )

    def __init__(self, parts: Parts, client: "Client", headers: bytes, body: bytes) -> None:
        self._parts = parts
        self._client = client
        self._asked = orjson.loads(body)
        self._account = client.account
        self._keys = client.keys
        self._began_s = time.time()
        self._id = uuid4().hex
        self._usage: dict[str, int] = {}
        self._last = b""
        input_nano = len(body) // BYTES_PER_TOKEN * INPUT_NANO
        self._hold_nano = input_nano + self._asked["max_tokens"] * OUTPUT_NANO
        self.request = (
            b"POST /v1/messages HTTP/1.1\r\nhost: provider\r\nx-api-key: own\r\n%bcontent-length: %d\r\n\r\n%b"
            % (
                headers,
                len(body),
                body,
            )
        )

    def begin(self) -> None:
        words = self._id, self._hold_nano, HOLD_MS
        self._parts.redis.ask(self._admitted, b"EVALSHA", self._parts.admit, 3, *self._keys[:3], *words)

    def _admitted(self, _left: int) -> None:
        if self._parts.idle:
            self._parts.idle.pop().begin(self)
        else:
            self._parts.run(self._connect())

    async def _connect(self) -> None:
        loop, parts = asyncio.get_running_loop(), self._parts
        _, provider = await loop.create_connection(lambda: Provider(parts), HOST, parts.upstream_port)
        provider.begin(self)

    def read(self, body: bytes) -> None:
        """Usage stands in the first and in the last but one event of a stream, or in the whole of a message."""
        if not self._asked.get("stream"):
            self._last += body
        elif body.startswith((b"event: message_start", b"event: message_delta")):
            said = orjson.loads(body[body.index(b"data: ") + 6 :])
            self._usage |= said.get("usage") or said["message"]["usage"]

    def passed(self, data: bytes) -> None:
        self._client.write(data)

    def ended(self, data: bytes) -> None:
        """All is here: what was used goes to Kafka, and `data` leaves when Kafka has it."""
        if self._last:
            self._usage = orjson.loads(self._last)["usage"]
        self._last = data
        self._parts.run(self._publish())

    async def _publish(self) -> None:
        stored = await self._parts.producer.send(TOPIC, self._event(), key=self._account)
        stored.add_done_callback(self._stored)

    def _event(self) -> bytes:
        account, model = self._account.decode(), self._asked["model"]
        event = {
            "specversion": "1.0",
            "type": TOPIC,
            "source": "bench",
            "id": self._id,
            "time": time.time(),
            "subject": account,
            "data": {
                "account_id": account,
                "model_asked": model,
                "model_served": model,
                "route": "anthropic",
                "outcome": "completed",
                "basis": "provider",
                "usage": self._usage,
                "hold_nano": self._hold_nano,
                "admitted_at": self._began_s,
                "attempts": 1,
            },
        }
        return orjson.dumps(event)

    def _stored(self, stored: asyncio.Future[Any]) -> None:
        stored.result()
        self._client.write(self._last)
        price_nano = self._usage["input_tokens"] * INPUT_NANO + self._usage["output_tokens"] * OUTPUT_NANO
        words = self._id, price_nano
        self._parts.redis.ask(nothing, b"EVALSHA", self._parts.settle, 4, *self._keys, *words)


class Provider(asyncio.Protocol):
    """One kept-alive connection to the provider; the parser calls its methods below `data_received`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def begin(self, call: Call) -> None:
        self._call, self._is_over = call, False
        self._transport.write(call.request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)
        if self._is_over:
            self._parts.idle.append(self)
            self._call.ended(data)
        else:
            self._call.passed(data)

    def on_body(self, body: bytes) -> None:
        self._call.read(body)

    def on_message_complete(self) -> None:
        self._is_over = True


class Client(asyncio.Protocol):
    """One kept-alive connection of a client, who always is the same account."""

    def __init__(self, parts: Parts) -> None:
        parts.clients += 1
        self._parts = parts
        self._parser = httptools.HttpRequestParser(self)
        self._headers: list[bytes] = []
        self._body: list[bytes] = []
        self.account = account_id(parts.clients % ACCOUNTS)
        self.keys = account_keys(self.account)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-type" or name.startswith(b"anthropic-"):
            self._headers.append(b"%b: %b\r\n" % (name, value))

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        headers, body = b"".join(self._headers), b"".join(self._body)
        self._headers, self._body = [], []
        Call(self._parts, self, headers, body).begin()


async def _make_topic(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        if TOPIC not in await admin.list_topics():
            await admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])
    finally:
        await admin.close()


@asynccontextmanager
async def listening(port: int, *, upstream_port: int, redis_url: str, bootstrap: str) -> AsyncIterator[asyncio.Server]:
    loop, url = asyncio.get_running_loop(), urlsplit(redis_url)
    assert url.hostname is not None
    assert url.port is not None
    _, redis = await loop.create_connection(Redis, url.hostname, url.port)
    admit, settle = await prepared(redis)
    await _make_topic(bootstrap)
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=LINGER_MS, max_batch_size=1 << 19
    )
    await producer.start()
    try:
        parts = Parts(upstream_port, redis, producer, admit, settle)
        async with await loop.create_server(lambda: Client(parts), HOST, port, backlog=4096) as server:
            yield server
    finally:
        await producer.stop()


async def _serve(port: int, upstream_port: int, *, redis_url: str, bootstrap: str) -> None:
    async with listening(port, upstream_port=upstream_port, redis_url=redis_url, bootstrap=bootstrap) as server:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2]), redis_url=sys.argv[3], bootstrap=sys.argv[4]))

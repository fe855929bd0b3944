"""What a call costs when few and when very many accounts are known.

Known means: the account's API key has come over the state topic, and its admission state lies in Redis, copied from a
real account's. The calls come from the same few callers each time.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final
from uuid import UUID, uuid4

import httpx2
import psutil
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from contracts.auth import ApiKeyChanged
from sandbox.bench.figures import Figure
from sandbox.bench.gateway import run_load
from sandbox.bench.pinning import cpu_s
from sandbox.bench.product import Measured, Say

CALLERS: Final = 10
NUMBERS: Final = (10, 10_000, 1_000_000)
MOST_TIMES: Final = 1.2
AT_ONCE: Final = 2_000
IDLE_SHARE: Final = 0.2
SETTLE_S: Final = 300.0


async def known_figures(measured: Measured, say: Say) -> list[Figure]:
    callers = await measured.accounts(CALLERS, credits_amount=10_000)
    keys = measured.folder / "known-keys"
    keys.write_text("\n".join(account.api_key for account in callers))
    costs: list[float] = []
    known = CALLERS
    for number in NUMBERS:
        say(f"CPU per call with {number:,} accounts known")
        await _make_known(measured, number - known, like=callers[0].account_id)
        known = max(known, number)
        run = await run_load(measured.addresses.gateway, "json", keys, [measured.gateway_process])
        costs.append(run.cpu_us)
    against = ", ".join(f"{number:,}: {cost:.1f} us" for number, cost in zip(NUMBERS, costs, strict=True))
    times = max(costs) / min(costs)
    must = f"<= {MOST_TIMES}"
    return [
        Figure("CPU per call, most over least", max(costs), "us", against, times, must, times <= MOST_TIMES),
    ]


async def _make_known(measured: Measured, number: int, *, like: str) -> None:
    if number <= 0:
        return
    async with _producer(measured) as producer, Redis.from_url(measured.stack.redis_url) as redis:
        pattern = [
            (key[37 + 1 :], await redis.dump(key)) async for key in redis.scan_iter(f"{{{like}}}*", count=10_000)
        ]
        kept = [(suffix, dumped) for suffix, dumped in pattern if dumped is not None and not suffix.endswith(b"calls")]
        for accounts in _chunks(number):
            pipeline = redis.pipeline(transaction=False)
            for account_id in accounts:
                for suffix, dumped in kept:
                    pipeline.restore(b"{%s}%s" % (str(account_id).encode(), suffix), 0, dumped)
            await pipeline.execute()
            await asyncio.gather(*[await _announce(producer, account_id) for account_id in accounts])
    await _until_read(measured.gateway_process, measured.addresses.url("gateway"))


def _chunks(number: int) -> Iterator[list[UUID]]:
    for start in range(0, number, AT_ONCE):
        yield [uuid4() for _ in range(min(AT_ONCE, number - start))]


async def _announce(producer: AIOKafkaProducer, account_id: UUID) -> asyncio.Future[object]:
    event = ApiKeyChanged(
        id=uuid4(),
        time=datetime.now(UTC),
        account_id=account_id,
        api_key_id=uuid4(),
        user_id=account_id,
        version=1,
        state="active",
        key_sha256=sha256(account_id.bytes).hexdigest(),
    )
    sent: asyncio.Future[object] = await producer.send(event.type, event.encode("auth"), key=event.key.encode())
    return sent


async def _until_read(gateway: psutil.Process, url: str) -> None:
    """Until the gateway has nothing to do any more and answers that it is ready."""
    async with asyncio.timeout(SETTLE_S):
        while True:
            before = cpu_s([gateway])
            await asyncio.sleep(2.0)
            if (cpu_s([gateway]) - before) / 2.0 < IDLE_SHARE:
                break
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        (await http.get("/health/ready")).raise_for_status()


@asynccontextmanager
async def _producer(measured: Measured) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=measured.stack.kafka_bootstrap, linger_ms=20, max_batch_size=1 << 20, acks=1
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()

"""What a call costs when few and when very many accounts are known.

Known means: the account's API key has come over the state topic, and its admission state lies in Redis, copied from a
real account's. The calls come from the same few callers each time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import httpx2
import psutil
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from contracts.auth import ApiKeyChanged
from sandbox.bench.figures import Figure, middle
from sandbox.bench.gateway import ROUNDS, run_load
from sandbox.bench.ledger_load import Lag
from sandbox.bench.pinning import cpu_s
from sandbox.bench.product import Measured, Say

CALLERS: Final = 10
MODEL: Final = "claude-sonnet-4-5"
NUMBERS: Final = (10, 10_000, 1_000_000)
ROUND_S: Final = 1.0
WARM_S: Final = 0.4
"""So short that no caller has two thousand calls in a stage, which is as many as may wait to be booked."""
MOST_TIMES: Final = 1.2
AT_ONCE: Final = 1_000
COPY_TIMEOUT_S: Final = 60.0
TAG_DIGITS: Final = 24
COPIED: Final = ("state", "used", "confirmed", "flight", "budgets")
COPY: Final = """
local from, begin = ARGV[1], ARGV[2]
for number = ARGV[3], ARGV[3] + ARGV[4] - 1 do
  local to = string.format('{%s%08x}:', begin, number)
  for i = 5, #ARGV do
    redis.call('COPY', '{' .. from .. '}:' .. ARGV[i], to .. ARGV[i])
  end
end
"""
IDLE_SHARE: Final = 0.2
SETTLE_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU per call, and as so many times that of a bare paid call in the same quarter of a minute.

    Between one number of accounts and the next are minutes, in which a shared machine becomes another one.
    """

    us: float
    times: float


async def known_figures(measured: Measured, say: Say) -> list[Figure]:
    copied, *callers = await measured.accounts(1 + CALLERS, credits_amount=10_000)
    await _call_once(measured, copied.api_key)
    keys = measured.folder / "known-keys"
    keys.write_text("\n".join(account.api_key for account in callers))
    # Not counted: a new Kafka compiles itself for some seconds, and the callers' terms are asked of the ledger.
    await run_load(measured.addresses.gateway, "json", keys, [measured.gateway_process], seconds=ROUND_S)
    costs: list[Cost] = []
    known = CALLERS
    for number in NUMBERS:
        say(f"CPU per call with {number:,} accounts known")
        await _until_booked(measured)
        await _make_known(measured, number - known, like=copied.account_id)
        known = max(known, number)
        # The others have a million keys to look at for minutes yet, and are no part of a call.
        with measured.gateway_alone():
            costs.append(middle([await _cost(measured, keys) for _ in range(ROUNDS)], lambda cost: cost.times))
    against = ", ".join(
        f"{number:,}: {cost.us:.1f} us, {cost.times:.2f} x the bare call"
        for number, cost in zip(NUMBERS, costs, strict=True)
    )
    times = max(cost.times for cost in costs) / min(cost.times for cost in costs)
    must, most = f"<= {MOST_TIMES}", max(cost.us for cost in costs)
    return [Figure("CPU per call, most over least", most, "us", against, times, must, times <= MOST_TIMES)]


async def _cost(measured: Measured, keys: Path) -> Cost:
    port, process = measured.addresses.gateway, measured.gateway_process
    ours = await run_load(port, "json", keys, [process], seconds=ROUND_S, warm_up_s=WARM_S)
    async with measured.bare_call() as (port, process):
        bare = await run_load(port, "json", keys, [process], seconds=ROUND_S, warm_up_s=WARM_S)
    return Cost(ours.cpu_us, ours.cpu_us / bare.cpu_us)


async def _call_once(measured: Measured, key: str) -> None:
    """So that the account has a state in Redis, and not the calls of a whole load in it, for a million copies."""
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
    body = {"model": MODEL, "max_tokens": 16, "messages": [{"role": "user", "content": "Hello"}]}
    async with httpx2.AsyncClient(base_url=measured.addresses.url("gateway"), trust_env=False) as http:
        (await http.post("/v1/messages", json=body, headers=headers)).raise_for_status()


async def _make_known(measured: Measured, number: int, *, like: str) -> None:
    if number <= 0:
        return
    copied = UUID(like).hex
    async with (
        _producer(measured) as producer,
        Redis.from_url(measured.stack.redis_url, socket_timeout=COPY_TIMEOUT_S) as redis,
    ):
        # A million accounts are more than a sandbox has room for.
        await redis.config_set("maxmemory", 0)
        found = {key async for key in redis.scan_iter(f"{{{copied}}}:*", count=10_000)}
        kept = [name for name in COPIED if f"{{{copied}}}:{name}".encode() in found]
        if "state" not in kept:
            raise RuntimeError("the account that is to be copied has no state in Redis")
        template = _announcement(UUID(like))
        begin = uuid4().hex[:TAG_DIGITS]
        for first in range(0, number, AT_ONCE):
            count = min(AT_ONCE, number - first)
            await redis.eval(COPY, 0, copied, begin, first, count, *kept)
            await _announce(producer, template, [UUID(f"{begin}{first + one:08x}") for one in range(count)])
    await _until_read(measured.gateway_process, measured.addresses.url("gateway"))


def _announcement(account_id: UUID) -> Callable[[UUID], bytes]:
    """What says that an account's key is known: made once, since a million of them would take minutes."""
    digest = sha256(account_id.bytes).hexdigest()
    event = ApiKeyChanged(
        id=account_id,
        time=datetime.now(UTC),
        account_id=account_id,
        api_key_id=account_id,
        user_id=account_id,
        # Not its first: nobody has to be told that so many keys are new.
        version=2,
        state="active",
        key_sha256=digest,
    )
    named, hashed, made = str(account_id).encode(), digest.encode(), event.encode("auth")
    return lambda other: made.replace(named, str(other).encode()).replace(
        hashed, sha256(other.bytes).hexdigest().encode()
    )


async def _announce(producer: AIOKafkaProducer, made: Callable[[UUID], bytes], accounts: Sequence[UUID]) -> None:
    sent = [await producer.send(ApiKeyChanged.type, made(one), key=str(one).encode()) for one in accounts]
    await asyncio.gather(*sent)


async def _until_booked(measured: Measured) -> None:
    """An account of which too many calls wait to be booked is refused the next."""
    async with asyncio.timeout(SETTLE_S), Lag(measured.stack.kafka_bootstrap) as lag:
        await lag.falls_below(1)


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

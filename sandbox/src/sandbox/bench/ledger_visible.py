"""From a call's end to the announcement of its balance, which every gateway reads: at a steady 1000 calls a second."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from contracts.ledger import BalanceChanged
from kit.clock import SystemClock
from sandbox.bench.figures import Figure, quantile
from sandbox.bench.ledger_load import usage
from sandbox.bench.product import Measured, Say

CALLS_PER_S: Final = 1000
SECONDS: Final = 10
TICK_S: Final = 0.01
WARM_UP: Final = 1000
WAIT_S: Final = 60.0
MUST_MS: Final = 500


async def visible_figure(measured: Measured, accounts: Sequence[UUID], say: Say) -> Figure:
    say(f"ledger: call end to balance, {CALLS_PER_S} calls/s")
    bootstrap = measured.stack.kafka_bootstrap
    ended: dict[str, float] = {}
    async with (
        AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=3) as kafka,
        AIOKafkaConsumer(BalanceChanged.type, bootstrap_servers=bootstrap) as consumer,
        asyncio.timeout(WAIT_S),
    ):
        await consumer.seek_to_end()
        reading = asyncio.create_task(_waits(consumer, ended, count=CALLS_PER_S * SECONDS))
        await _send(kafka, accounts, ended)
        waits = await reading
    tail = quantile(waits[WARM_UP:], 0.99) * 1000
    name = f"ledger: call end to balance at the gateway's door, {CALLS_PER_S} calls/s, p99"
    return Figure(name, tail, "ms", f"{MUST_MS} ms", tail / MUST_MS, f"<= {MUST_MS} ms", tail <= MUST_MS)


async def _send(kafka: AIOKafkaProducer, accounts: Sequence[UUID], ended: dict[str, float]) -> None:
    clock, began = SystemClock(), time.perf_counter()
    sent: list[asyncio.Future[RecordMetadata]] = []
    for tick in range(int(SECONDS / TICK_S)):
        await asyncio.sleep(max(0.0, began + tick * TICK_S - time.perf_counter()))
        for _ in range(int(CALLS_PER_S * TICK_S)):
            event = usage(accounts[len(sent) * 7919 % len(accounts)], clock)
            ended[str(event.id)] = time.perf_counter()
            sent.append(await kafka.send(event.type, event.encode("gateway"), key=event.key.encode()))
    await asyncio.gather(*sent)


async def _waits(consumer: AIOKafkaConsumer, ended: dict[str, float], *, count: int) -> list[float]:
    waits: list[float] = []
    async for record in consumer:
        seen = time.perf_counter()
        waits += [seen - ended[call] for call in orjson.loads(record.value)["data"]["applied"] if call in ended]
        if len(waits) >= count:
            break
    return waits

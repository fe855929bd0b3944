"""What was set aside can be listed and sent again from the command line, and is applied when the cause is mended."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.auth import AccountActivated
from kit.clock import SystemClock
from kit.consumer import Consumer
from kit.database import Database
from kit.outbox import Relay
from kit.producer import Producer
from kit.runner import Runner
from sandbox.stack import Stack
from sandbox.testing import KafkaRecords, SkipToEnd

Until = Callable[..., Awaitable[None]]
Running = Callable[..., AbstractAsyncContextManager[None]]
MakeEvent = Callable[..., AccountActivated]
TOPIC = AccountActivated.type
COMMAND = """
from fastapi import FastAPI
from kit.cli import build_cli
from kit.settings import ServiceSettings

build_cli("ledger", settings=ServiceSettings, create_app=lambda settings: FastAPI(), help_text="A ledger.")()
"""


async def command(stack: Stack, *arguments: str) -> tuple[int, str]:
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("FAREGATE_")},
        "FAREGATE_KAFKA_BOOTSTRAP": stack.kafka_bootstrap,
        "FAREGATE_PUBLIC_URL": "http://faregate.test",
        "FAREGATE_AUTH_URL": "http://auth.test",
        "PORT": "8000",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        COMMAND,
        *arguments,
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(40):
        said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_a_record_that_was_set_aside_is_listed_and_replayed(
    database: Database,
    stack: Stack,
    producer: Producer,
    group: str,
    skip_to_end: SkipToEnd,
    kafka_records: KafkaRecords,
    until: Until,
    running: Running,
    activated: MakeEvent,
) -> None:
    await skip_to_end(group)
    mended, applied, failed = False, [], set[UUID]()
    consumer = Consumer(group)

    @consumer.on(AccountActivated)
    async def on_activated(_session: AsyncSession, event: AccountActivated) -> None:
        if not mended:
            failed.add(event.id)
            raise KeyError("a bug")
        applied.append(event.id)

    event = activated()
    run = Runner(consumer, database=database, bootstrap=stack.kafka_bootstrap, clock=SystemClock())
    async with running(run, Relay(database, producer)):
        await producer.send(TOPIC, event.key.encode(), event.encode("auth"))
        await until(lambda: event.id in failed)
        async with asyncio.timeout(10):
            while not any(group.encode() in (value or b"") for _, value in await kafka_records(f"{TOPIC}.dlq")):  # noqa: ASYNC110  # Kafka's state
                await asyncio.sleep(0.05)

        code, said = await command(stack, "dlq", "list")
        assert code == 0, said
        (line,) = [line for line in said.splitlines() if group in line]
        assert line.startswith(f"{TOPIC}.dlq offset ")
        assert "cannot be applied: KeyError" in line

        mended = True
        code, said = await command(stack, "dlq", "replay", TOPIC)
        assert code == 0, said
        assert f"records to {TOPIC}" in said
        await until(lambda: event.id in applied)

    sent = [value for key, value in await kafka_records(TOPIC) if key == event.key.encode()]
    assert sent == [event.encode("auth")] * 2
    assert applied.count(event.id) == 1


async def test_only_topics_that_the_service_consumes_are_replayed(stack: Stack, topics: list[str]) -> None:
    code, said = await command(stack, "dlq", "replay", "gateway.no-such-topic.v1")

    assert code == 2
    assert "does not consume" in said

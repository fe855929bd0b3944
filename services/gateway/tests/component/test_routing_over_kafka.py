"""Operators' changes through a real Kafka, and the file through a real file system and signals."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

from contracts.gateway import RoutingChanged
from contracts.terms import Terms
from gateway.errors import ModelApiError
from gateway.routing.operating import Change, RoutingOperations
from gateway.routing.routing import Routing
from kit.clock import SystemClock
from kit.producer import Producer
from kit.state import StateReader
from rating import PriceBook
from sandbox.stack import Stack

CLOCK = SystemClock()
MODEL = "claude-haiku-5-5"
EVERYTHING = SimpleNamespace(models=None, terms=Terms())


def routing_of(book: PriceBook, path: Path | None = None) -> Routing:
    books = SimpleNamespace(in_force=lambda _at: book)
    routing = Routing(books=books, clock=CLOCK, env={"FAREGATE_ANTHROPIC_API_KEY": "k"}, instance="test", path=path)  # type: ignore[arg-type]
    routing.load()
    return routing


@asynccontextmanager
async def running(routing: Routing, stack: Stack | None = None) -> AsyncIterator[Routing]:
    """A gateway's routing as its process runs it, ready when the topic is read."""
    tasks = [asyncio.create_task(routing.run())]
    if stack is not None:
        reader = StateReader(
            stack.kafka_bootstrap, {RoutingChanged: routing.on_changed}, clock=CLOCK, client_id="routing-test"
        )
        tasks.append(asyncio.create_task(reader.run()))
        await asyncio.wait_for(reader.caught_up.wait(), 15)
    await routing.ready()
    try:
        yield routing
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def is_sold(routing: Routing, model: str) -> bool:
    try:
        routing.choose(model, kind="anthropic", terms=EVERYTHING, conversation=b"")
    except ModelApiError:
        return False
    return True


async def seconds_until(true: Callable[[], bool], *, most_s: float = 5.0) -> float:
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < most_s, "it did not come about"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def test_a_change_reaches_another_gateway_in_time_and_is_known_after_a_restart(
    stack: Stack, topics: list[str], book: PriceBook
) -> None:
    alias = f"test-{uuid4().hex}"
    producer = Producer(stack.kafka_bootstrap, client_id="routing-test")

    async def publish(event: object) -> None:
        assert isinstance(event, RoutingChanged)
        await producer.send(event.type, event.key.encode(), event.encode("gateway"))

    async with running(routing_of(book), stack) as here, running(routing_of(book), stack) as there:
        operations = RoutingOperations(here, publish=publish, clock=CLOCK)
        change = Change("alias", alias, uuid4(), "a test", expected_version=0)
        await operations.put(change, {"model": MODEL})

        assert is_sold(here, alias)  # whoever made the change need not wait for it
        assert await seconds_until(lambda: is_sold(there, alias)) < 5

        async with running(routing_of(book), stack) as restarted:
            assert is_sold(restarted, alias)

        await operations.delete(Change("alias", alias, uuid4(), "tidy", expected_version=1))
        await seconds_until(lambda: not is_sold(there, alias))
    await producer.stop()


def config(alias: str) -> str:
    return (
        '[providers.one]\nkind = "anthropic"\naddress = "http://one.test"\n'
        'credentials = [{ id = "main", secret = "env:FAREGATE_ANTHROPIC_API_KEY" }]\n'
        f'[routes.one]\nprovider = "one"\nmodels = ["claude-*"]\n[aliases.{alias}]\nmodel = "{MODEL}"\n'
    )


async def test_a_file_that_changes_is_read_again_within_two_seconds(tmp_path: Path, book: PriceBook) -> None:
    path = tmp_path / "routing.toml"
    path.write_text(config("before"))
    async with running(routing_of(book, path)) as routing:
        path.write_text(config("after"))

        assert await seconds_until(lambda: is_sold(routing, "after"), most_s=2.0) < 2
        assert not is_sold(routing, "before")


async def test_sighup_reads_the_file_also_when_it_does_not_look_changed(tmp_path: Path, book: PriceBook) -> None:
    path = tmp_path / "routing.toml"
    path.write_text(config("before"))
    seen = path.stat()
    async with running(routing_of(book, path)) as routing:
        await asyncio.sleep(0.05)  # the handler stands
        path.write_text(config("behind"))
        os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        os.kill(os.getpid(), signal.SIGHUP)

        await seconds_until(lambda: is_sold(routing, "behind"))

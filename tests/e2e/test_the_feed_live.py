"""The feed as a page in the customer's browser has it: one stream through the gateway's address."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from tests.e2e.conftest import Product
from tests.e2e.people import Person

from sandbox.demo.customer import Customer, until

pytestmark = pytest.mark.stack

# Longer than the silence after which a stream says something, and looks whether it may go on.
PATIENCE_S = 30.0


class Stream:
    """What one open stream says."""

    def __init__(self, answer: httpx2.Response) -> None:
        self._lines = answer.aiter_lines()

    async def begun(self) -> None:
        """From now on nothing is missed."""
        async with asyncio.timeout(PATIENCE_S):
            assert (await anext(self._lines)).startswith(":")

    async def next(self) -> dict[str, Any] | None:
        """The next event with the id that takes it up again; None when the stream has ended."""
        event: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._lines:
                if not line and "data" in event:
                    return {**json.loads(event["data"]), "event_id": event["id"]}
                name, _, value = line.partition(": ")
                event[name] = value
        return None

    async def rest(self) -> list[dict[str, Any]]:
        """What comes until the stream ends."""
        found: list[dict[str, Any]] = []
        while (event := await self.next()) is not None:
            found.append(event)
        return found

    async def next_key(self, told: set[str]) -> dict[str, Any]:
        """The next notice of a new key that was not told before, past whatever else comes."""
        while (event := await self.next()) is not None:
            if event["kind"] == "key-created" and event["id"] not in told:
                told.add(event["id"])
                return event
        raise AssertionError("the stream ended")


@asynccontextmanager
async def watching(customer: Customer, *, last: str | None = None) -> AsyncIterator[Stream]:
    headers = {"authorization": f"Bearer {customer.token}", "accept": "text/event-stream"}
    headers |= {"last-event-id": last} if last else {}
    async with customer.http.stream("GET", "/notifications/stream", headers=headers, timeout=PATIENCE_S) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        stream = Stream(answer)
        await stream.begun()
        yield stream


async def make_key(person: Person) -> None:
    """Something that is told."""
    await person.do("POST", "/auth/api-keys", name=uuid4().hex, mode="test")


async def log_out(product: Product, person: Person) -> None:
    """Until the notifier has heard of it."""
    url, headers = product.addresses.url("notifier"), {"authorization": f"Bearer {person.token}"}
    (await person.ask("POST", "/auth/logout")).raise_for_status()

    async def refused() -> bool:
        return (await person.http.get(f"{url}/notifications", headers=headers)).status_code == 401

    await until("the notifier's refusal of an ended session", refused)


async def keys_told(person: Person) -> set[str]:
    """What the feed lists of new keys."""
    items = (await person.do("GET", "/notifications"))["items"]
    return {item["id"] for item in items if item["kind"] == "key-created"}


async def test_a_stream_tells_live_is_taken_up_again_and_ends_with_its_session(product: Product) -> None:
    customer = product.customer()
    await customer.sign_up()
    person = Person(customer, "owner")
    await until("the key of the sign-up in the feed", lambda: keys_told(person))
    told = await keys_told(person)

    async with watching(customer) as stream:
        await make_key(person)
        first = await stream.next_key(told)
    await make_key(person)
    async with watching(customer, last=first["event_id"]) as stream:
        missed = await stream.next_key(told)
        await make_key(person)
        live = await stream.next_key(told)
        await log_out(product, person)
        await person.again()
        await make_key(person)
        later = await stream.rest()

    assert missed["title"] == "A new API key"
    assert first["event_id"] == first["id"]
    assert "key-created" not in {one["kind"] for one in later}
    assert {first["id"], missed["id"], live["id"]} < await keys_told(person)

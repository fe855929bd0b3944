"""A hostile client that writes bytes: what it frames badly reaches nobody behind the gateway's address."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx2
import pytest
from services.gateway.tests.hostile_requests import REFUSED, Hostile, corpus
from tests.e2e.conftest import Product
from tests.e2e.test_the_story import MODEL, QUESTION, signed_up

from sandbox.demo.customer import Customer

pytestmark = pytest.mark.judge

# One served by the protocol, one by the app itself, one forwarded to another service.
PATHS = (b"/v1/messages", b"/v1/limits", b"/ledger/balance")
TIMEOUT_S = 20
AT_ONCE = 20


class Attacker:
    """Holds a good key, so that nothing but the framing is wrong, and hides a paid call behind each request."""

    def __init__(self, product: Product, customer: Customer) -> None:
        address = urlsplit(product.url)
        self._address = (address.hostname, address.port)
        self._limit = asyncio.Semaphore(AT_ONCE)
        body = b'{"model":"%b","max_tokens":1,"messages":[{"role":"user","content":"x"}]}' % MODEL.encode()
        self._key = b"x-api-key: " + customer.api_key.encode() + b"\r\n"
        self._smuggled = (
            b"POST /v1/messages HTTP/1.1\r\nHost: faregate.test\r\nanthropic-version: 2023-06-01\r\n"
            + self._key
            + b"content-length: %d\r\n\r\n" % len(body)
            + body
        )

    async def attack(self, hostile: Hostile, path: bytes) -> str | None:
        """What was wrong with the answer, if anything."""
        head, found, rest = hostile.to(path).partition(b"Host: faregate.test\r\n")
        request = head + found + self._key + rest if found else head
        async with self._limit:
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    answer = await self._exchange(request + self._smuggled)
            except TimeoutError:
                return "the connection stays open"
        return _wrong(answer)

    async def _exchange(self, request: bytes) -> bytes:
        received = bytearray()
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            with contextlib.suppress(ConnectionError):
                writer.write(request)
                while piece := await reader.read(65_536):
                    received += piece
        finally:
            writer.close()
        return bytes(received)


def _wrong(answer: bytes) -> str | None:
    statuses = re.findall(rb"^HTTP/1\.1 ([0-9]{3}) ", answer, re.MULTILINE)
    if len(statuses) != 1:
        return f"{len(statuses)} answers: {statuses}"
    if int(statuses[0]) not in REFUSED:
        return f"answered with {statuses[0].decode()}"
    if b"connection: close" not in answer.partition(b"\r\n\r\n")[0].lower():
        return "the connection is kept"
    return None


@pytest.fixture
async def customer(product: Product) -> AsyncIterator[Customer]:
    customer = await signed_up(product)
    yield customer
    await customer.http.aclose()


async def test_nothing_that_is_framed_in_a_hostile_way_is_served_or_charged(
    product: Product, customer: Customer
) -> None:
    attacker = Attacker(product, customer)
    tries = [(hostile, path) for hostile in corpus() for path in PATHS]

    found = await asyncio.gather(*(attacker.attack(hostile, path) for hostile, path in tries))

    wrong = [f"{one.name} to {path.decode()}: {what}" for (one, path), what in zip(tries, found, strict=True) if what]
    assert wrong == []
    assert len(tries) >= 3 * 148
    await customer.sdk().messages.create(model=MODEL, max_tokens=16, messages=QUESTION)
    assert await _calls_listed(customer) == 1


async def _calls_listed(customer: Customer) -> int:
    """Once the honest call is there; a smuggled one would have come before it."""
    deadline = asyncio.get_running_loop().time() + 20
    while not (items := (await customer.get("/v1/requests"))["items"]):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.2)
    return len(items)


async def test_the_gateway_serves_on_while_half_requests_lie_around(product: Product, customer: Customer) -> None:
    address = urlsplit(product.url)
    halves = [await asyncio.open_connection(address.hostname, address.port) for _ in range(200)]
    for at, (_, writer) in enumerate(halves):
        writer.write(b"POST /v1/messages HTTP/1.1\r\nHost: faregate.test\r\nX-A: b\r\n"[: 10 + at % 40])

    async with httpx2.AsyncClient(base_url=product.url, trust_env=False, timeout=10) as http:
        assert (await http.get("/health/ready")).status_code == 200
    await customer.sdk().messages.create(model=MODEL, max_tokens=16, messages=QUESTION)

    # The time for a head is over after ten seconds; nobody holds a connection for nothing.
    for reader, writer in halves:
        async with asyncio.timeout(20):
            answer = await reader.read()
        writer.close()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")

"""A customer's own operations: held in Redis, told through Kafka, booked by the ledger once."""

import asyncio
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from redis.asyncio import Redis
from tests.e2e.books import USAGE
from tests.e2e.conftest import Product
from tests.e2e.test_the_story import signed_up

from sandbox.demo.customer import Customer, StoryError, until
from sandbox.stack.topics import end_offsets

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(240)]

# Per unit: the price book's price and 15 % on top.
IMAGE = Decimal("0.046")
AGENT_RUN = Decimal("0.0575")


class Server:
    """A customer's own server: it has the API key."""

    def __init__(self, product: Product, customer: Customer) -> None:
        self._product = product
        self.customer = customer
        self._headers = {"x-api-key": customer.api_key}

    async def post(self, path: str, body: dict[str, Any] | None = None, *, key: str | None = None) -> httpx2.Response:
        headers = {**self._headers, "Idempotency-Key": key or uuid4().hex}
        return await self.customer.http.post(path, json=body or {}, headers=headers)

    async def hold(self, operation: str, quantity: int, *, expires_in_s: int = 600) -> dict[str, Any]:
        body = {"operation": operation, "quantity": quantity, "expires_in_s": expires_in_s}
        answer = await self.post("/v1/holds", body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def find(self, hold: dict[str, Any]) -> dict[str, Any]:
        answer = await self.customer.http.get(f"/v1/holds/{hold['id']}", headers=self._headers)
        return dict(answer.json())

    async def requests(self) -> dict[str, dict[str, Any]]:
        """What the ledger has booked, by request."""
        return {one["id"]: one for one in await self.customer.all_pages("/v1/requests")}

    async def until_booked(self, *request_ids: str) -> dict[str, dict[str, Any]]:
        async def booked() -> bool:
            return set(request_ids) <= set(await self.requests())

        await until(f"{len(request_ids)} booked operations", booked)
        return await self.requests()

    async def standing(self) -> tuple[Decimal, Decimal, Decimal]:
        """What Redis says: available, held, and not confirmed by the ledger."""
        amounts = (await self.customer.get("/v1/limits"))["amounts"]
        credit = next(one for one in amounts if one["unit"] == "credit")
        return Decimal(credit["available"]), Decimal(credit["held"]), Decimal(credit["unconfirmed"])

    async def until_left(self, credits_left: Decimal) -> None:
        """Redis and the ledger say the same, to the nano-credit, and nothing is under way."""

        async def is_so() -> bool:
            return await self.standing() == (credits_left, 0, 0) and await self.customer.balance() == credits_left

        await until(f"{credits_left} credits left in Redis and in the books", is_so)

    async def forget_keys(self) -> None:
        """As if the day were over for which Redis remembers them."""
        account = UUID((await self.customer.get("/ledger/balance"))["account_id"])
        async with Redis.from_url(self._product.stack.redis_url) as redis:
            keys = [key async for key in redis.scan_iter(f"{{{account.hex}}}:operation-key:*")]
            assert await redis.delete(*keys) == len(keys) >= 1


@pytest.fixture
async def server(product: Product) -> Server:
    return Server(product, await signed_up(product))


async def test_what_is_confirmed_released_and_recorded_is_booked_as_it_was_answered(server: Server) -> None:
    key, body = uuid4().hex, {"operation": "image", "quantity": 10, "expires_in_s": 600}
    first = await server.post("/v1/holds", body, key=key)
    again = await server.post("/v1/holds", body, key=key)
    other = await server.post("/v1/holds", {**body, "quantity": 11}, key=key)
    held = first.json()
    assert (first.status_code, again.content, other.status_code) == (201, first.content, 409)
    assert Decimal(held["amount_credits"]) == 10 * IMAGE
    assert await server.standing() == (5 - 10 * IMAGE, 10 * IMAGE, 0)
    assert await server.customer.balance() == 5

    confirmed = (await server.post(f"/v1/holds/{held['id']}/confirm", {"quantity": 4})).json()
    repeated = (await server.post(f"/v1/holds/{held['id']}/confirm", {"quantity": 4})).json()
    refused = await server.post(f"/v1/holds/{held['id']}/release")
    dropped = await server.hold("agent_run", 3)
    released = (await server.post(f"/v1/holds/{dropped['id']}/release")).json()
    used = await server.post("/v1/usage", {"operation": "agent_run", "quantity": 2})
    assert (repeated, refused.status_code) == (confirmed, 409)

    booked = await server.until_booked(*(one["request_id"] for one in (confirmed, released, used.json())))
    await server.until_left(5 - 4 * IMAGE - 2 * AGENT_RUN)
    assert len(booked) == 3
    for answer, price in ((confirmed, 4 * IMAGE), (released, Decimal(0)), (used.json(), 2 * AGENT_RUN)):
        request = booked[answer["request_id"]]
        assert Decimal(answer["price_credits"]) == Decimal(request["price_credits"]) == price
        assert (request["outcome"], request["operation"]["duplicate_of"]) == ("completed", None)
    assert booked[confirmed["request_id"]]["operation"]["quantity"] == 4
    explained = await server.customer.get(f"/v1/requests/{confirmed['request_id']}")
    assert explained["operation"]["idempotency_key"] == key
    assert [(line["model"], line["quantity"]) for line in explained["lines"]] == [("image", 4)]


async def test_a_key_that_redis_has_forgotten_books_a_repetition_at_zero_and_sets_another_body_aside(
    product: Product, server: Server
) -> None:
    key, body = uuid4().hex, {"operation": "agent_run", "quantity": 2}
    first = (await server.post("/v1/usage", body, key=key)).json()
    await server.until_booked(first["request_id"])
    await server.forget_keys()

    repetition = (await server.post("/v1/usage", body, key=key)).json()

    assert repetition["request_id"] != first["request_id"]
    booked = (await server.until_booked(repetition["request_id"]))[repetition["request_id"]]
    assert (booked["outcome"], Decimal(booked["price_credits"])) == ("duplicate", 0)
    assert booked["operation"]["duplicate_of"] == first["request_id"]
    await server.until_left(5 - 2 * AGENT_RUN)

    await server.forget_keys()
    before = await _set_aside(product)
    another = (await server.post("/v1/usage", {**body, "quantity": 3}, key=key)).json()

    async def is_set_aside() -> bool:
        return await _set_aside(product) == before + 1

    await until("the other body in the dead letters", is_set_aside)
    # Its hold went with it, and the books know nothing of it.
    await server.until_left(5 - 2 * AGENT_RUN)
    assert another["request_id"] not in await server.requests()


async def test_a_hold_outlives_its_gateway_and_only_the_sweeper_ends_it_once_it_has_expired(
    product: Product, server: Server
) -> None:
    kept = await server.hold("image", 5)
    short = await server.hold("image", 20, expires_in_s=1)
    await product.kill("gateway")
    await product.start("gateway")

    async def has_expired() -> bool:
        return (await server.find(short))["state"] == "expired"

    await until("the hold's expiry", has_expired)
    late = await server.post(f"/v1/holds/{short['id']}/confirm")
    swept = (await server.until_booked(short["request_id"]))[short["request_id"]]
    assert late.status_code == 409
    assert (swept["outcome"], Decimal(swept["price_credits"])) == ("orphaned", 0)

    # No gateway reported the other one: it stands until somebody ends it.
    assert (await server.find(kept))["state"] == "held"
    assert list(await server.requests()) == [short["request_id"]]

    async def is_alone() -> bool:
        return await server.standing() == (5 - 5 * IMAGE, 5 * IMAGE, 0)

    await until("one hold in Redis", is_alone)
    ended = await asyncio.gather(*(server.post(f"/v1/holds/{kept['id']}/confirm") for _ in range(4)))
    assert {answer.status_code for answer in ended} == {200}
    assert len({answer.content for answer in ended}) == 1
    await server.until_left(5 - 5 * IMAGE)
    assert len(await server.requests()) == 2


async def test_what_the_credits_do_not_cover_is_refused_and_its_key_stays_free(server: Server) -> None:
    key, body = uuid4().hex, {"operation": "image", "quantity": 100}
    held = await server.hold("image", 20)

    refused = await server.post("/v1/usage", body, key=key)
    with_a_session = await server.customer.http.post(
        "/v1/usage", json=body, headers={"authorization": f"Bearer {server.customer.token}", "Idempotency-Key": key}
    )
    assert (refused.status_code, refused.headers["x-should-retry"]) == (402, "false")
    assert Decimal(refused.headers["faregate-balance"]) == 5 - 20 * IMAGE
    assert with_a_session.status_code == 403

    await server.post(f"/v1/holds/{held['id']}/release")
    admitted = await server.post("/v1/usage", body, key=key)

    assert admitted.status_code == 200, admitted.text
    await server.until_left(5 - 100 * IMAGE)


async def _set_aside(product: Product) -> int:
    ends = await end_offsets(product.stack.kafka_bootstrap, {f"{USAGE}.dlq"})
    if not ends:
        raise StoryError("there is no topic for dead letters")
    return sum(ends.values())

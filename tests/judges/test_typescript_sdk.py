"""The official TypeScript SDKs work against the gateway, and understand its refusals."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Product
from tests.e2e.test_the_story import signed_up
from tests.judges.conftest import Installed, run

from sandbox.demo.customer import Customer, until

pytestmark = [pytest.mark.judge, pytest.mark.timeout(180)]

SOURCES = Path(__file__).parent / "typescript"


@pytest.fixture(scope="module")
async def folder(installed: Installed) -> Path:
    return (await installed(SOURCES)).parent


async def judged(folder: Path, node: Path, *arguments: str) -> dict[str, Any]:
    return dict(json.loads(await run(str(node), *arguments, cwd=folder, node=node)))


async def test_anthropics_streams_is_refused_and_does_not_retry(product: Product, node: Path, folder: Path) -> None:
    customer = await signed_up(product)

    seen = await judged(folder, node, "judge.mjs", product.url, customer.api_key, customer.api_key)

    assert seen["whole"]["type"] == "message"
    assert seen["stream"]["text"] > 0
    assert seen["badKey"] == {"name": "AuthenticationError", "status": 401, "type": "authentication_error"}
    assert seen["noModel"] == {"name": "NotFoundError", "status": 404, "type": "not_found_error"}
    assert (seen["dry"]["status"], seen["dry"]["type"]) == (402, "billing_error")
    assert seen["models"] > 10


async def test_openais_streams_uses_tools_is_refused_and_is_charged(product: Product, node: Path, folder: Path) -> None:
    customer = await signed_up(product)

    seen = await judged(folder, node, "openai.mjs", product.url, customer.api_key)

    assert seen["plain"] == {"text": seen["whole"]["text"], "usages": 0}
    assert seen["asked"] == seen["whole"]
    assert seen["tool"] == "get_weather"
    assert min(seen["response"], seen["embedding"]) > 0
    assert {"sandbox-gpt", "sandbox-embedding", "claude-sonnet-5-5"} <= set(seen["models"])
    assert (seen["badKey"]["name"], seen["badKey"]["retried"]) == ("AuthenticationError", "false")
    assert seen["noModel"]["status"] == 404
    assert (seen["dry"]["status"], seen["dry"]["retried"]) == (402, "false")
    assert seen["broken"]["status"] == 500
    await check_charges(customer, seen)


async def check_charges(customer: Customer, seen: dict[str, Any]) -> None:
    """Every call once, and the three equal ones at one price, whether the client saw their usage or not."""

    async def all_listed() -> bool:
        return len((await customer.get("/v1/requests"))["items"]) == seen["calls"]

    await until("every call", all_listed)
    prices = [Decimal(one["price_credits"]) for one in (await customer.get("/v1/requests"))["items"]]
    usage = seen["whole"]["usage"]
    price = usage["prompt"] * Decimal("0.00000115") + usage["output"] * Decimal("0.0000046")
    assert prices.count(price) == 3
    assert prices.count(Decimal(0)) == 1
    assert await customer.balance() == 5 - sum(prices)

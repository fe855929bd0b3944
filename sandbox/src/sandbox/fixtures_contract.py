"""A pytest plugin: the party that the contract with Stripe is held against, the stand-in or Stripe itself."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from sandbox.fixtures_stripe import running_stripe_server

KEY = "FAREGATE_TEST_STRIPE_KEY"
DAY_S = 24 * 3600
PATIENCE_S = 120


@dataclass
class Party:
    """Whom the contract is held against, and what tests ask of it."""

    v1: Any
    is_stripe: bool

    async def clock(self) -> Any:
        # The first of a month at noon: no period is cut short.
        return await self.v1.test_helpers.test_clocks.create_async({"frozen_time": first_of_month()})

    async def advance(self, clock: Any, *, days: float) -> None:
        """Wait until everything has happened that was due on the way."""
        present = await self.v1.test_helpers.test_clocks.retrieve_async(clock.id)
        target = present.frozen_time + int(days * DAY_S)
        await self.v1.test_helpers.test_clocks.advance_async(clock.id, {"frozen_time": target})
        await self.until(self.is_ready, clock.id)

    async def is_ready(self, clock_id: str) -> bool:
        found = await self.v1.test_helpers.test_clocks.retrieve_async(clock_id)
        return bool(found.status == "ready")

    async def until(self, holds: Any, *arguments: Any) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not await holds(*arguments):  # noqa: ASYNC110 - Stripe has no event to wait for
                await asyncio.sleep(2 if self.is_stripe else 0.01)

    async def customer(self, *, clock: Any = None, card: str | None = "pm_card_visa") -> Any:
        params: dict[str, Any] = {"email": "a@b.example", "name": "Contract test"}
        if clock is not None:
            params["test_clock"] = clock.id
        if card is not None:
            params |= {"payment_method": card, "invoice_settings": {"default_payment_method": card}}
        return await self.v1.customers.create_async(params)

    async def price(self, *, cents: int = 2900, **fields: Any) -> Any:
        recurring = {"interval": "month"} | fields.pop("recurring", {})
        return await self.v1.prices.create_async(
            {
                "currency": "usd",
                "product_data": {"name": "Contract test"},
                "recurring": recurring,
                **({} if "unit_amount_decimal" in fields else {"unit_amount": cents}),
                **fields,
            }
        )

    async def subscribed(self, customer: Any, price: Any, **fields: Any) -> Any:
        items = [{"price": price.id}]
        return await self.v1.subscriptions.create_async({"customer": customer.id, "items": items, **fields})

    async def meter(self) -> Any:
        name = f"contract_{uuid4().hex[:12]}"
        return await self.v1.billing.meters.create_async(
            {"display_name": name, "event_name": name, "default_aggregation": {"formula": "sum"}}
        )

    async def invoices(self, subscription: Any) -> list[Any]:
        """Newest first."""
        return list((await self.v1.invoices.list_async({"subscription": subscription.id})).data)


def first_of_month() -> int:
    today = time.gmtime()
    return int(time.mktime((today.tm_year, today.tm_mon, 1, 12, 0, 0, 0, 0, 0)) - time.timezone)


@pytest.fixture(params=["stand-in", "stripe"])
async def party(request: pytest.FixtureRequest) -> AsyncIterator[Party]:
    if request.param == "stand-in":
        with running_stripe_server() as server:
            yield await opened(server.secret_key, server.base_url, is_stripe=False)
        return
    key = os.environ.get(KEY, "")
    if not key.startswith(("sk_test_", "rk_test_")):
        pytest.skip(f"Stripe itself is asked only with a test key in {KEY}")
    yield await opened(key, "https://api.stripe.com", is_stripe=True)


async def opened(key: str, url: str, *, is_stripe: bool) -> Party:
    stripe = pytest.importorskip("stripe")
    client = stripe.StripeClient(key, http_client=stripe.HTTPXClient(), base_addresses={"api": url})
    return Party(client.v1, is_stripe=is_stripe)

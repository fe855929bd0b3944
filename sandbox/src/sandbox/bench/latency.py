"""From a call's end to the moment its charge is in the balance that the customer reads."""

import time
from decimal import Decimal
from typing import Final

import anthropic
import httpx2

from sandbox.bench.figures import Figure, quantile
from sandbox.bench.product import Measured, Say

CALLS: Final = 150
MUST_S: Final = 1.0


async def latency_figures(measured: Measured, say: Say) -> list[Figure]:
    say(f"call end to balance visible: {CALLS} calls")
    (account,) = await measured.accounts(1, credits_amount=100)
    url = measured.addresses.url("gateway")
    sdk = anthropic.AsyncAnthropic(base_url=url, api_key=account.api_key, max_retries=0)
    headers = {"authorization": f"Bearer {account.token}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, trust_env=False) as http:
        waits = [await _one(sdk, http) for _ in range(CALLS)]
    middle, tail = quantile(waits, 0.5), quantile(waits, 0.99)
    return [
        Figure("call end to balance visible, p50", middle * 1000, "ms", "1 s", middle / MUST_S),
        Figure("call end to balance visible, p99", tail * 1000, "ms", "1 s", tail / MUST_S, "< 1", tail < MUST_S),
    ]


async def _one(sdk: anthropic.AsyncAnthropic, http: httpx2.AsyncClient) -> float:
    before = await balance_of(http)
    await sdk.messages.create(
        model="claude-sonnet-4-6", max_tokens=256, messages=[{"role": "user", "content": "How late is the balance?"}]
    )
    ended = time.perf_counter()
    while await balance_of(http) == before:
        if time.perf_counter() - ended > 10:
            raise RuntimeError("a charge was not in the balance after 10 s")
    return time.perf_counter() - ended


async def balance_of(http: httpx2.AsyncClient) -> Decimal:
    answer = await http.get("/ledger/balance")
    return Decimal(answer.raise_for_status().json()["available_credits"])

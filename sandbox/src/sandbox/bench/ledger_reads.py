"""What an account with a million calls waits for its own figures."""

import time
from typing import Final
from uuid import UUID

import asyncpg
import httpx2

from sandbox.bench import ledger_books
from sandbox.bench.figures import Figure, quantile
from sandbox.bench.product import Measured, Say

CALLS: Final = 1_000_000
ASKED: Final = 300
WARM_UP: Final = 20
ROUTES: Final = {
    "/ledger/balance": 20,
    "/ledger/transactions?limit=50": 30,
    "/ledger/usage?granularity=day": 100,
}
"""And the milliseconds that each may take in 99 of 100 cases."""


async def read_figures(measured: Measured, connection: asyncpg.Connection, say: Say) -> list[Figure]:
    """Asked of the ledger itself, one after another."""
    (account,) = await measured.accounts(1, credits_amount=100)
    say(f"ledger: making {CALLS} calls of one account")
    await ledger_books.make_calls(connection, UUID(account.account_id), count=CALLS)
    headers = {"authorization": f"Bearer {account.token}"}
    figures = []
    async with httpx2.AsyncClient(base_url=measured.addresses.url("ledger"), headers=headers, trust_env=False) as http:
        for route, must_ms in ROUTES.items():
            waits = [await _one(http, route) for _ in range(WARM_UP + ASKED)]
            tail = quantile(waits[WARM_UP:], 0.99) * 1000
            name = f"ledger: {route.partition('?')[0]} over {CALLS // 10**6} M calls of one account, p99"
            ratio, must = tail / must_ms, f"<= {must_ms} ms"
            figures.append(Figure(name, tail, "ms", f"{must_ms} ms", ratio, must, ratio <= 1))
    return figures


async def _one(http: httpx2.AsyncClient, route: str) -> float:
    began = time.perf_counter()
    answer = await http.get(route)
    answer.raise_for_status()
    return time.perf_counter() - began

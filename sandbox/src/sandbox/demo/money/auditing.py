"""What an operator does when the story is over: the ledger's check of its books, billing's reconciliation."""

import asyncio
import sys
from datetime import datetime
from typing import Any

import httpx2

from sandbox.demo.customer import StoryError
from sandbox.demo.screen import Screen
from sandbox.faregate import MovedFaregate


async def check_books(product: MovedFaregate, screen: Screen, *, since: datetime) -> None:
    """Raises `StoryError` where a command of the operators finds a difference."""
    screen.step("Check the books, as an operator does")
    with screen.waiting("the ledger checks its books, billing reconciles each month"):
        answer = await _ledgers_check(product)
        printed = await asyncio.gather(*(_reconcile(product, month) for month in _months(since, product.now())))
    if answer["differences"] or not answer["balanced"]:
        raise StoryError(f"the ledger's books differ: {answer['differences'] or answer['units']}")
    screen.good(f"the ledger: every unit sums to zero, {answer['accounts_checked']} accounts as their transfers say")
    for lines in printed:
        for line in lines:
            screen.fact(line)
    screen.good("billing reconcile: ledger = reported = counted = invoiced = paid, to the cent")


async def _ledgers_check(product: MovedFaregate) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {await product.operator_token()}"}
    async with httpx2.AsyncClient(base_url=product.url, headers=headers, timeout=60, trust_env=False) as http:
        return dict((await http.get("/ledger/operator/books")).raise_for_status().json())


async def _reconcile(product: MovedFaregate, month: str) -> list[str]:
    """What `python -m billing reconcile` prints; it ends with 1 where anything differs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "billing", "reconcile", "--period", month),
        env=dict(product.supervisor.program("billing").env),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    lines = output.decode().strip().splitlines()
    if process.returncode != 0:
        raise StoryError(f"billing reconcile --period {month} finds: {'; '.join(lines)}")
    return [f"reconcile --period {month}: {lines[-1]}"]


def _months(first: datetime, last: datetime) -> list[str]:
    """Every month in which invoices can have been made."""
    numbers = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    return [f"{number // 12}-{number % 12 + 1:02}" for number in numbers]

"""From a crossed threshold to its mail in the mail server's hands, with everything in between as it is."""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid4

import httpx2
from aiokafka import AIOKafkaProducer

from contracts.ledger import ThresholdCrossed
from contracts.money import Unit
from sandbox.accounts import Account
from sandbox.bench.figures import Figure, quantile
from sandbox.bench.product import Measured, Say

ACCOUNTS: Final = 30
MAILS: Final = 15
"""To each account; fewer than the notifier sends to one person in an hour."""
PER_S: Final = 25
WAIT_S: Final = 60.0
MUST_MS: Final = 2_000
_DAYS: Final = re.compile(r"will last about (\d+) more days")


async def notice_figures(measured: Measured, say: Say) -> list[Figure]:
    say(f"notices: threshold to mail, {PER_S}/s")
    accounts = await measured.accounts(ACCOUNTS, credits_amount=1)
    crossed = await _cross(measured, accounts)
    taken = await _taken(measured, count=len(crossed))
    waits = [taken[mark] - crossed[mark] for mark in crossed]
    middle, tail = (quantile(waits, share) * 1000 for share in (0.5, 0.99))
    name = f"notices: threshold event to mail handed over, {PER_S}/s"
    return [
        Figure(f"{name}, p50", middle, "ms", ""),
        Figure(f"{name}, p99", tail, "ms", f"{MUST_MS} ms", tail / MUST_MS, f"<= {MUST_MS} ms", tail <= MUST_MS),
    ]


async def _cross(measured: Measured, accounts: Sequence[Account]) -> Mapping[str, float]:
    """When each threshold was crossed, by the mark that stands in its mail's subject."""
    crossed: dict[str, float] = {}
    began = time.monotonic()
    async with AIOKafkaProducer(bootstrap_servers=measured.stack.kafka_bootstrap, acks="all", linger_ms=3) as kafka:
        for number in range(ACCOUNTS * MAILS):
            await asyncio.sleep(max(0.0, began + number / PER_S - time.monotonic()))
            # A number that no other of these mails has, where a mail says how many days are left.
            mark, now = str(1_000 + number), datetime.now(UTC)
            event = _event(UUID(accounts[number % ACCOUNTS].account_id), mark, now)
            await kafka.send(event.type, event.encode("ledger"), key=event.key.encode())
            crossed[mark] = now.timestamp()
    return crossed


def _event(account_id: UUID, mark: str, now: datetime) -> ThresholdCrossed:
    return ThresholdCrossed(
        id=uuid4(),
        time=now,
        account_id=account_id,
        level="days_left",
        arming=1,
        unit=Unit.CREDIT,
        base=1_000_000_000,
        available=500_000_000,
        at=mark,
    )


async def _taken(measured: Measured, *, count: int) -> Mapping[str, float]:
    """When the mailbox took each mail, once it has all of them."""
    async with httpx2.AsyncClient(base_url=measured.mailbox_url, trust_env=False) as http, asyncio.timeout(WAIT_S):
        while True:
            answer = (await http.get("/api/messages", params={"limit": 1_000})).raise_for_status()
            taken = {
                found.group(1): datetime.fromisoformat(mail["received_at"]).timestamp()
                for mail in answer.json()["messages"]
                if (found := _DAYS.search(mail["subject"]))
            }
            if len(taken) >= count:
                return taken
            await asyncio.sleep(0.5)

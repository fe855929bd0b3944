"""From a crossed threshold, and from the call that crossed it, to the mail in the mail server's hands."""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4

import anthropic
import httpx2
from aiokafka import AIOKafkaProducer

from contracts.ledger import ThresholdCrossed
from contracts.money import Unit
from sandbox.accounts import Account
from sandbox.bench.figures import Figure, quantile
from sandbox.bench.latency import balance_of
from sandbox.bench.pinning import unpin
from sandbox.bench.product import Measured, Say

ACCOUNTS: Final = 30
MAILS: Final = 10
"""To each account; fewer than the notifier sends to one person in an hour."""
PER_S: Final = 10
CALLERS: Final = 6
CALLS: Final = 15
PAUSE_S: Final = 0.5
WAIT_S: Final = 60.0
MUST_MS: Final = 2_000
_DAYS: Final = re.compile(r"used up in about (\d+) days")
_LEVEL: Final = re.compile(r"come down to the ([\d.]+) credits? at which")
_STEP: Final = Decimal("0.000001")
"""So far below the balance that the next call, however cheap, passes the level; each caller has its own."""


async def notice_figures(measured: Measured, say: Say) -> list[Figure]:
    for name in measured.supervisor.names:
        unpin(measured.supervisor.pid_of(name))
    say(f"notices: threshold to mail, {PER_S}/s to {ACCOUNTS} people")
    crossed = await _cross(measured)
    figures = _figures(f"threshold event to mail handed over, {PER_S}/s", await _waits(measured, crossed, _DAYS))
    say(f"notices: call end to mail, {CALLERS} callers")
    passed = await _call_and_pass(measured)
    return figures + _figures("call end to mail handed over", await _waits(measured, passed, _LEVEL))


def _figures(what: str, waits: Sequence[float]) -> list[Figure]:
    middle, tail = (quantile(waits, share) * 1000 for share in (0.5, 0.99))
    holds = tail <= MUST_MS
    return [
        Figure(f"notices: {what}, p50", middle, "ms", ""),
        Figure(f"notices: {what}, p99", tail, "ms", f"{MUST_MS} ms", tail / MUST_MS, f"<= {MUST_MS} ms", holds),
    ]


async def _cross(measured: Measured) -> Mapping[str, float]:
    """When each threshold was crossed, by the mark that stands in its mail."""
    accounts = await measured.accounts(ACCOUNTS, credits_amount=0)
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


async def _call_and_pass(measured: Measured) -> Mapping[str, float]:
    """When each call had ended, by the level that it passed."""
    accounts = await measured.accounts(CALLERS, credits_amount=0)
    url = measured.addresses.url("gateway")
    calling = [_call(url, one, below=number * _STEP) for number, one in enumerate(accounts, start=1)]
    return {level: ended for passed in await asyncio.gather(*calling) for level, ended in passed.items()}


async def _call(url: str, account: Account, *, below: Decimal) -> Mapping[str, float]:
    """One call after the other, each of which passes a level that was set for it."""
    passed: dict[str, float] = {}
    sdk = anthropic.AsyncAnthropic(base_url=url, api_key=account.api_key, max_retries=0)
    headers = {"authorization": f"Bearer {account.token}"}
    asked: list[Any] = [{"role": "user", "content": "How late is the mail?"}]
    async with httpx2.AsyncClient(base_url=url, headers=headers, trust_env=False) as http, asyncio.timeout(WAIT_S):
        balance = await balance_of(http)
        for _ in range(CALLS):
            level = f"{(balance - below).normalize():f}"
            (await http.put("/ledger/levels", json={"credits": [level]})).raise_for_status()
            await sdk.messages.create(model="claude-sonnet-4-6", max_tokens=256, messages=asked)
            passed[level] = time.time()
            balance = await _booked(http, before=balance)
    return passed


async def _booked(http: httpx2.AsyncClient, *, before: Decimal) -> Decimal:
    while True:
        # Not often: whoever asks for balances takes the core of who sends mails.
        await asyncio.sleep(PAUSE_S)
        if (balance := await balance_of(http)) != before:
            return balance


async def _waits(measured: Measured, since: Mapping[str, float], mark: re.Pattern[str]) -> list[float]:
    """How long each mail took to the mailbox, once it has all of them; `mark` finds in its text what it is about."""
    taken: dict[str, float] = {}
    read: set[str] = set()
    until = time.monotonic() + WAIT_S
    async with httpx2.AsyncClient(base_url=measured.mailbox_url, trust_env=False) as http:
        while missing := since.keys() - taken.keys():
            if time.monotonic() > until:
                raise RuntimeError(f"{len(missing)} of {len(since)} mails had not come after {WAIT_S:.0f} s")
            await asyncio.sleep(1.0)
            answer = (await http.get("/api/messages", params={"limit": 1_000})).raise_for_status()
            for mail in answer.json()["messages"]:
                if mail["id"] not in read:
                    read.add(mail["id"])
                    text = (await http.get(f"/api/messages/{mail['id']}")).raise_for_status().json()["text"]
                    if found := mark.search(text):
                        taken[found.group(1)] = datetime.fromisoformat(mail["received_at"]).timestamp()
    return [taken[one] - at for one, at in since.items()]

"""A Faregate that sells plans in every unit, with customers who count along."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import httpx2
from aiokafka import AIOKafkaProducer

from contracts.event import Event
from sandbox.accounts import PublicApi
from sandbox.addresses import Addresses
from sandbox.demo.customer import Customer, StoryError, until
from sandbox.environment import SERVICES
from sandbox.faregate import Faregate

MODEL = "claude-sonnet-5-5"
NANO = Decimal(10**9)
# Credits of a token of it, at the book's prices and 15 % on top.
INPUT_CREDITS, OUTPUT_CREDITS = Decimal("0.0000023"), Decimal("0.0000115")
# Plan tokens of a token of output.
OUTPUT_WEIGHT = 5
FREE_TOKENS = 3_000
PRO_TOKENS = 1_000
PER_1K = Decimal("0.02")
REQUEST_MOST = Decimal("0.01")
FAIR_THROTTLED, FAIR_BLOCKED, FAIR_RATE = 2, 4, 5
_COUNTING = f"""
unit = "token"
request_max_price = "{REQUEST_MOST}"
weights = [{{ class = "output", hundredths = {100 * OUTPUT_WEIGHT} }}]
"""
CATALOGUE = f"""
format = 1
currency = "usd"

[plans.free]
name = "Free"
default = true
price = "0"
interval = "month"
renewal = "ledger"
allowances = [{{ rule = "monthly", tokens = {FREE_TOKENS} }}]
[plans.free.terms]
{_COUNTING}

[plans.pro]
name = "Pro"
price = "20"
interval = "month"
renewal = "subscription"
allowances = [{{ rule = "monthly", tokens = {PRO_TOKENS} }}]
[plans.pro.terms]
{_COUNTING}
overage = {{ policy = "bill", per_1k_tokens = "{PER_1K}", collect = "meter" }}

[plans.lenient]
name = "Lenient"
price = "20"
interval = "month"
renewal = "subscription"
allowances = [{{ rule = "monthly", tokens = {PRO_TOKENS} }}]
[plans.lenient.terms]
{_COUNTING}
overage = {{ policy = "warn" }}

[plans.fair]
name = "Fair use"
price = "20"
interval = "month"
renewal = "subscription"
allowances = [{{ rule = "monthly", requests = 100 }}]
soft_limits = [
  {{ unit = "request", amount = {FAIR_THROTTLED}, then = "throttle", throttled_requests_per_minute = {FAIR_RATE} }},
  {{ unit = "request", amount = {FAIR_BLOCKED}, then = "block" }},
]
[plans.fair.terms]
unit = "request"
request_max_price = "{REQUEST_MOST}"

[bundles.calls_10]
name = "10 calls"
price = "5"
requests = 10
valid_days = 365
"""


@dataclass(frozen=True, slots=True)
class Amounts:
    """What may be used of each unit."""

    credit: Decimal = Decimal(0)
    token: int = 0
    request: int = 0
    overage: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Used:
    """What one call was, as the provider counted it."""

    input_tokens: int
    output_tokens: int

    @property
    def price(self) -> Decimal:
        return self.input_tokens * INPUT_CREDITS + self.output_tokens * OUTPUT_CREDITS

    @property
    def plan_tokens(self) -> int:
        return self.input_tokens + OUTPUT_WEIGHT * self.output_tokens

    def share(self, amount: Decimal, tokens_paid: int) -> Decimal:
        """Of an amount, what falls on the tokens that no plan token paid: rounded up to a nano-credit."""
        return share_up(amount, self.plan_tokens - tokens_paid, self.plan_tokens)


def share_up(amount: Decimal, numerator: int, denominator: int) -> Decimal:
    return -(-int(amount * NANO) * numerator // denominator) / NANO


class Subscriber(Customer):
    """A customer who compares what gateway and ledger say after each step."""

    account_id: str = ""
    ceiling: Decimal = Decimal(0)
    """What this customer allows to be billed later."""

    async def join(self, plan: str | None = None) -> None:
        await self.sign_up()
        await until("the free plan", lambda: self._has_plan("free"), timeout_s=60)
        if plan is not None:
            await self.press_pay(await self.buy(plan))
            await until(f"the plan {plan}", lambda: self._has_plan(plan), timeout_s=60)
        self.account_id = (await self.get("/ledger/balance"))["account_id"]

    async def allow_overage(self, ceiling: Decimal) -> None:
        """Say how much may be billed later in a period; without a word of theirs it is what the plan costs."""
        self.ceiling = ceiling
        path = "/billing/overage"
        await self._answer(self.http.put(path, json={"ceiling": str(ceiling)}, headers=self._headers()), path)

    async def log_in_again(self) -> None:
        answer = await self._post("/auth/login", {"email": self.email, "password": self.password})
        self.token = answer["access_token"]

    async def ask(self, output_tokens: int = 20, *, max_tokens: int | None = None) -> Used:
        """One call by the official SDK, of so many tokens of output."""
        message = await self.sdk().messages.create(
            **self._body(max_tokens or output_tokens),
            extra_headers={"anthropic-sandbox-scenario": f"text;output_tokens={output_tokens};delay_ms=0"},
        )
        return Used(message.usage.input_tokens, message.usage.output_tokens)

    async def refused(self, max_tokens: int = 20) -> anthropic.APIStatusError:
        """What the official SDK raises for a call that is not admitted."""
        try:
            await self.ask(max_tokens)
        except anthropic.APIStatusError as error:
            return error
        raise StoryError("the call was admitted")

    async def quote(self, max_tokens: int = 20) -> dict[str, Any]:
        return await self._post("/v1/quote", self._body(max_tokens))

    async def amounts(self) -> Amounts:
        """What both say, once they say the same and nothing is under way; raises with what differs."""
        seen: tuple[Amounts, Amounts, bool] | None = None

        async def agree() -> bool:
            nonlocal seen
            seen = await self._both()
            return seen[0] == seen[1] and seen[2]

        with contextlib.suppress(StoryError):
            await until("the same amounts", agree)
            assert seen is not None
            return seen[0]
        raise StoryError(f"the gateway and the ledger do not agree: {seen}")

    async def limits(self) -> dict[str, Any]:
        return await self.get("/v1/limits")

    async def last_request(self) -> dict[str, Any]:
        newest = (await self.get("/v1/requests", limit="1"))["items"][0]
        return await self.get(f"/v1/requests/{newest['id']}")

    async def _both(self) -> tuple[Amounts, Amounts, bool]:
        limits, booked = await self.limits(), await self.get("/ledger/balance")
        at_gateway = {one["unit"]: one["available"] for one in limits["amounts"]}
        in_books = {one["unit"]: one["available"] for one in booked["units"]}
        room = max(Decimal(0), self.ceiling - Decimal(booked["overage_accrued_credits"]))
        under_way = [one for one in limits["amounts"] if Decimal(one["held"]) or Decimal(one["unconfirmed"])]
        return (
            _amounts(at_gateway, overage=Decimal(at_gateway["overage"])),
            _amounts(in_books, overage=room),
            not under_way and not limits["open_calls"],
        )

    def _body(self, max_tokens: int) -> dict[str, Any]:
        return {"model": MODEL, "max_tokens": max_tokens, "messages": [{"role": "user", "content": "Say hello"}]}

    async def _has_plan(self, plan: str) -> bool:
        """The gateway knows it, and its allowance is there beside the free one that still runs."""
        with contextlib.suppress(StoryError):
            limits, booked = await self.limits(), await self.get("/ledger/balance")
            now = datetime.fromisoformat(booked["as_of"])
            running = [one for one in booked["grants"] if datetime.fromisoformat(one["starts_at"]) <= now]
            return bool(limits["plan"] == booked["plan"] == plan and len(running) == (1 if plan == "free" else 2))
        return False


def _amounts(units: Mapping[str, str], *, overage: Decimal) -> Amounts:
    return Amounts(
        Decimal(units.get("credit", "0")), int(units.get("token", "0")), int(units.get("request", "0")), overage
    )


class Shop(Faregate):
    """The running product, and what its customers and operators may change."""

    def __init__(self, folder: Path, addresses: Addresses) -> None:
        catalogue = folder / "catalogue.toml"
        catalogue.write_text(CATALOGUE)
        # Plans of a size that a test can use up are no business.
        settings = {"FAREGATE_BILLING_CATALOGUE": str(catalogue), "FAREGATE_BILLING_SELL_AT_A_LOSS": "true"}
        super().__init__(folder, addresses, settings=settings)

    async def subscriber(self, plan: str | None = None) -> Subscriber:
        subscriber = Subscriber(self.url, self.mailbox_url)
        await subscriber.join(plan)
        return subscriber

    async def give(self, subscriber: Subscriber, credits_amount: str) -> None:
        token = await self.stepped_up_token()
        async with PublicApi(self.url) as api:
            await api.adjust(token, account_id=subscriber.account_id, credits_amount=credits_amount, reason="test")

    async def say(self, event: Event, *, source: str) -> None:
        """An event of a service whose own routes for it do not exist yet."""
        async with AIOKafkaProducer(bootstrap_servers=self.stack.kafka_bootstrap) as producer:
            await producer.send_and_wait(event.type, event.encode(source), key=event.key.encode())

    async def move_clock(self, ahead: timedelta) -> None:
        """All services live so much later from now on."""
        offset = {"FAREGATE_CLOCK_OFFSET_S": str(ahead.total_seconds())}
        programs = self.supervisor.programs
        for place, program in enumerate(programs):
            if program.name in SERVICES:
                programs[place] = replace(program, env={**program.env, **offset})
        await asyncio.gather(*(self.stop(name) for name in SERVICES))
        await asyncio.gather(*(self.start(name) for name in SERVICES))

    async def ledger_command(self, *arguments: str) -> list[dict[str, Any]]:
        """As an operator types it, with JSON as its answer."""
        ledger, folder = self.supervisor.program("ledger"), str(self.folder / "archive")
        # An operator's commands may know the tables' owner, as the migration does and the running service does not.
        env = {**(ledger.prepare_env or {}), **ledger.env, "FAREGATE_LEDGER_ARCHIVE_FOLDER": folder}
        command = (sys.executable, "-m", "ledger", *arguments, "--json")
        process = await asyncio.create_subprocess_exec(*command, env=env, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        assert process.returncode == 0
        return list(json.loads(output))

    async def books_differ(self) -> list[str]:
        """What the ledger's own check finds."""
        headers = {"authorization": f"Bearer {await self.operator_token()}"}
        async with httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=60, trust_env=False) as http:
            answer = (await http.get("/ledger/operator/books")).raise_for_status().json()
        return list(answer["differences"]) + ([] if answer["balanced"] else ["not balanced"])

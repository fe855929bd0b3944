"""A Faregate whose gateway is four processes, with plans that limit nothing but the money."""

import asyncio
import contextlib
import sys
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import psutil
from redis.asyncio import Redis
from tests.e2e.books import Books
from tests.e2e.raw_calls import Caller

from sandbox.addresses import Addresses
from sandbox.demo.customer import Customer, StoryError, until
from sandbox.faregate import Faregate
from sandbox.stack.process import Process

WORKERS = 4
PATIENCE_S = 4
GRACE_S = 2
# Sonnet 5.5 costs 10 dollars per million tokens of output, and 15 % on top.
OUTPUT_CREDITS = Decimal("0.0000115")
OUTPUT_TOKENS = 2_000
# Holds for fifty calls with their prompts; prices are a little lower than holds, so 52 could be paid one by one.
STRICT_CREDITS = Decimal("1.21")
ELASTIC_STEP_TOKENS = 1_024
# Connections are spread over the workers by chance: so many miss none of them.
MANY_CONNECTIONS = 64
CATALOGUE = f"""
format = 1
currency = "usd"

[plans.strict]
name = "Strict"
default = true
price = "0"
allowances = [{{ rule = "trial", credits = "{STRICT_CREDITS}", valid_days = 14 }}]

[plans.elastic]
name = "Elastic"
price = "20"
interval = "month"
allowances = [{{ rule = "period", credits = "0.01" }}]
admission = "elastic"
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """What Redis and the ledger say about one account's credits."""

    available: Decimal
    balance: Decimal
    debt: Decimal
    held: Decimal
    unconfirmed: Decimal
    open_calls: int

    @property
    def is_settled(self) -> bool:
        agreed = self.available == self.balance - self.debt
        return agreed and not self.held and not self.unconfirmed and not self.open_calls


class Payer(Customer):
    """A customer who knows their account's id and asks what is left."""

    account_id: str = ""

    async def join(self, *, elastic: bool) -> Decimal:
        """Sign up, subscribe where asked; the credits to spend."""
        await self.sign_up()
        await until("the trial's credits", lambda: self._has_at_least(STRICT_CREDITS), timeout_s=60)
        if elastic:
            await self.press_pay(await self.buy("elastic"))
            await until("the elastic plan", lambda: self._is_admitted("elastic"), timeout_s=60)
            await until("its credits", lambda: self._has_at_least(STRICT_CREDITS + Decimal("0.01")), timeout_s=60)
        answer = await self.get("/ledger/balance")
        self.account_id = answer["account_id"]
        return Decimal(answer["available_credits"])

    async def standing(self) -> Standing:
        limits = await self.get("/v1/limits")
        booked = await self.get("/ledger/balance")
        amount = next(one for one in limits["amounts"] if one["unit"] == "credit")
        return Standing(
            available=Decimal(amount["available"]),
            balance=Decimal(booked["available_credits"]),
            debt=Decimal(booked["debt_credits"]),
            held=Decimal(amount["held"]),
            unconfirmed=Decimal(amount["unconfirmed"]),
            open_calls=limits["open_calls"],
        )

    async def settled(self, *, timeout_s: float = 45) -> Standing:
        """Once Redis and the ledger agree and no entry is left; raises with what differs."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        last: Standing | str = "no answer"
        while asyncio.get_running_loop().time() < deadline:
            try:
                last = await self.standing()
                if last.is_settled:
                    return last
            except (StoryError, httpx2.HTTPError) as error:
                last = repr(error)
            await asyncio.sleep(0.25)
        raise StoryError(f"not settled after {timeout_s} s: {last}")

    async def _has_at_least(self, amount: Decimal) -> bool:
        with contextlib.suppress(StoryError):
            return await self.balance() >= amount
        return False

    async def _is_admitted(self, admission: str) -> bool:
        with contextlib.suppress(StoryError):
            limits: dict[str, Any] = await self.get("/v1/limits")
            return bool(limits["admission"] == admission)
        return False


class Fleet(Faregate):
    """The running product, and the means to hurt it."""

    def __init__(self, folder: Path, addresses: Addresses) -> None:
        catalogue = folder / "catalogue.toml"
        catalogue.write_text(CATALOGUE)
        settings = {
            "FAREGATE_BILLING_CATALOGUE": str(catalogue),
            "FAREGATE_BILLING_SELL_AT_A_LOSS": "true",
            "FAREGATE_GATEWAY_WORKERS": str(WORKERS),
            "FAREGATE_GATEWAY_HOLD_PATIENCE_S": str(PATIENCE_S),
            "FAREGATE_GATEWAY_SHUTDOWN_GRACE_S": str(GRACE_S),
        }
        super().__init__(folder, addresses, settings=settings)
        self.books = Books(self)

    async def payer(self, *, elastic: bool = False) -> tuple[Payer, Caller, Decimal]:
        """A customer, their program and what they may spend."""
        payer = Payer(self.url, self.mailbox_url)
        credits_ = await payer.join(elastic=elastic)
        await self._introduce(payer)
        return payer, Caller(self.url, payer.api_key), credits_

    async def _introduce(self, payer: Payer) -> None:
        """To all workers: else the one that knows the account already admits all there is to admit."""
        headers = {"x-api-key": payer.api_key, "connection": "close"}
        async with httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=30, trust_env=False) as http:
            answers = await asyncio.gather(*(http.get("/v1/limits") for _ in range(MANY_CONNECTIONS)))
        assert {answer.status_code for answer in answers} == {200}

    def streams(self) -> Counter[int]:
        """How many connections of clients each worker has."""
        workers, port = {worker.pid for worker in self.workers()}, self.addresses.port("gateway")
        found = psutil.net_connections("tcp4")
        mine = (one.pid for one in found if one.pid in workers and one.laddr.port == port and one.raddr)
        return Counter(pid for pid in mine if pid)

    async def left_in_redis(self, payer: Payer) -> dict[str, Any]:
        """Entries of calls, and what is counted as in flight."""
        account = UUID(payer.account_id).hex
        async with Redis.from_url(self.stack.redis_url) as redis:
            return {**await redis.hgetall(f"{{{account}}}:calls"), **await redis.hgetall(f"{{{account}}}:flight")}

    def workers(self) -> list[psutil.Process]:
        """The gateway's processes that serve."""
        return psutil.Process(self.supervisor.pid_of("gateway")).children()

    async def until_all_serve(self, *, timeout_s: float = 90) -> None:
        """All workers listen and are ready, those that were started again too."""

        async def all_serve() -> bool:
            workers = {worker.pid for worker in self.workers()}
            return len(workers) == WORKERS and workers <= self.listeners()

        await until("all workers", all_serve, timeout_s=timeout_s)

    async def until_booked(self, *, timeout_s: float = 30) -> None:
        """The equation holds: every admission journalled once, used once, charged once."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not (equation := await self.books.equation()).holds:
            if asyncio.get_running_loop().time() > deadline:
                raise StoryError(f"the equation of admissions, usage and charges does not hold: {equation}")
            await asyncio.sleep(0.5)

    def second_gateway(self, *, workers: int = WORKERS) -> Process:
        """Another gateway program behind the same port, as a rolling restart has it for a while."""
        return Process(
            name="gateway-2",
            command=(sys.executable, "-m", "gateway", "serve"),
            log_path=self.logs / "gateway-2.log",
            env={**self.supervisor.program("gateway").env, "FAREGATE_GATEWAY_WORKERS": str(workers)},
            cwd=self.folder,
            stop_timeout_s=GRACE_S + 10,
        )

    def listeners(self) -> set[int]:
        """The processes that take connections at the gateway's port."""
        port = self.addresses.port("gateway")
        found = psutil.net_connections("tcp4")
        return {one.pid for one in found if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid}

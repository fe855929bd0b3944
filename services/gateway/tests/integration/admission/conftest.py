"""A small ledger in memory, real Redis, and gateways over both."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from contracts.gateway import Allocation
from contracts.ledger import Armed, BalanceChanged, Slice
from contracts.money import Unit
from contracts.terms import BudgetState, Limits, PaymentProblem, Terms
from gateway.admission import (
    Admission,
    AdmissionRequest,
    AdmissionUnavailableError,
    Admitted,
    Amounts,
    RedisConnection,
    Refused,
    Replan,
    UnknownAccountError,
)
from gateway.admission.scripts import account_keys
from kit.clock import SystemClock
from kit.ids import uuid7
from sandbox.stack.ports import free_ports
from sandbox.stack.redis import Redis as RedisServer

MODEL = "claude-sonnet-5"


@dataclass
class Books:
    """One account as the ledger sees it."""

    account_id: UUID
    slices: list[Slice]
    version: int = 1
    state: str = "open"
    models: tuple[str, ...] | None = None
    markup_bps: int = 0
    debt_nano: int = 0
    arming: int = 1
    limits: Limits = field(default_factory=Limits)
    terms: Terms = field(default_factory=Terms)
    budgets: tuple[BudgetState, ...] = ()
    armed: tuple[Armed, ...] = ()
    payment_problem: PaymentProblem | None = None
    booked: set[UUID] = field(default_factory=set)

    def event(self, applied: Sequence[UUID] = ()) -> BalanceChanged:
        return BalanceChanged(
            id=uuid4(),
            time=datetime.now(UTC),
            account_id=self.account_id,
            version=self.version,
            state=self.state,
            plan_id="trial|50%",
            plan_version=3,
            models=self.models,
            markup_bps=self.markup_bps,
            debt_nano=self.debt_nano,
            slices=tuple(self.slices),
            applied=tuple(applied),
            arming=self.arming,
            limits=self.limits,
            terms=self.terms,
            budgets=self.budgets,
            armed=self.armed,
            payment_problem=self.payment_problem,
        )

    def changed(self, **values: Any) -> BalanceChanged:
        """The next version, with these values."""
        for name, value in values.items():
            setattr(self, name, value)
        self.version += 1
        return self.event()

    def book(self, call_id: UUID, burns: Sequence[Allocation], price_nano: int) -> BalanceChanged:
        """Charge a call inside its allocation."""
        self.booked.add(call_id)
        self.version += 1
        left = price_nano
        for burn in burns:
            part = min(left, burn.amount)
            left -= part
            self._burn(UUID(str(burn.slice_id)), part)
        self.debt_nano += left
        return self.event([call_id])

    def _burn(self, slice_id: UUID, amount: int) -> None:
        for at, one in enumerate(self.slices):
            if one.slice_id == slice_id:
                self.slices[at] = one.model_copy(update={"amount": one.amount - amount})
        self.slices = [one for one in self.slices if one.amount]


class MemoryLedger:
    """A `SnapshotSource` that can be away."""

    def __init__(self) -> None:
        self.books: dict[UUID, Books] = {}
        self.away = False
        self.asked: list[tuple[UUID, tuple[UUID, ...]]] = []
        self.before_answer: Callable[[], Awaitable[None]] | None = None

    def open(self, *amounts: int, **values: Any) -> Books:
        books = Books(uuid4(), [slice_of(amount) for amount in amounts], **values)
        self.books[books.account_id] = books
        return books

    async def snapshot(self, account_id: UUID, calls: Sequence[UUID]) -> BalanceChanged:
        self.asked.append((account_id, tuple(calls)))
        if self.before_answer:
            await self.before_answer()
        if self.away:
            raise AdmissionUnavailableError
        if account_id not in self.books:
            raise UnknownAccountError
        books = self.books[account_id]
        return books.event([call for call in calls if call in books.booked])


def slice_of(
    amount: int,
    *,
    starts_in_s: float = -60,
    expires_in_s: float | None = None,
    unit: Unit = Unit.CREDIT,
    kind: str = "grant",
) -> Slice:
    now = datetime.now(UTC)
    return Slice(
        slice_id=uuid4(),
        unit=unit,
        kind=kind,
        amount=amount,
        starts_at=now + timedelta(seconds=starts_in_s),
        expires_at=None if expires_in_s is None else now + timedelta(seconds=expires_in_s),
    )


@dataclass(frozen=True)
class Wish:
    """A call that is not planned yet: its price is its cost and the account's markup, or `amounts` as they are."""

    call_id: UUID
    account_id: UUID
    cost_nano: int
    model: str
    report: bytes
    amounts: Amounts | None = None
    values: dict[str, Any] = field(default_factory=dict)


def request_for(
    account_id: UUID,
    cost_nano: int = 0,
    *,
    call_id: UUID | None = None,
    model: str = MODEL,
    amounts: Amounts | None = None,
    **values: Any,
) -> Wish:
    return Wish(
        call_id=call_id or uuid7(SystemClock()),
        account_id=account_id,
        cost_nano=cost_nano,
        model=model,
        report=b'{"surface": "/v1/messages|x", "bytes": "\xc3\xa9\\u0000"}',
        amounts=amounts,
        values=values,
    )


class PlannedAdmission(Admission):
    """Plans as the call path does: by the terms that it knows, again when the script knows others."""

    async def admit(self, request: Wish) -> Admitted | Refused:
        terms = self.terms_of(request.account_id) or await self.learn_terms(request.account_id)
        near = False
        while True:
            answer = await super().admit(planned(request, terms, near=near))
            if not isinstance(answer, Replan):
                return answer
            terms, near = answer.terms, answer.near

    async def settle(
        self, *, account_id: UUID, call_id: UUID, price_nano: int = 0, amounts: Amounts | None = None
    ) -> str:
        return await super().settle(call_id, amounts or Amounts(price_nano), account_id=account_id)

    async def extend(self, call_id: UUID, amounts: Amounts) -> Any:
        answered = asyncio.get_running_loop().create_future()
        self.extend_soon(call_id, amounts, answered.set_result)
        return await answered


def planned(wish: Wish, terms: Any, *, near: bool | None = False) -> AdmissionRequest:
    markup_bps = terms.markup_for(wish.model)
    amounts = wish.amounts or Amounts(-(-wish.cost_nano * (10_000 + markup_bps) // 10_000), cost_nano=wish.cost_nano)
    made = AdmissionRequest(
        call_id=wish.call_id,
        account_id=wish.account_id,
        model=wish.model,
        report=wish.report,
        amounts=amounts,
        terms=terms,
        near=near,
    )
    return replace(made, **wish.values)


@dataclass
class Sight:
    """What stands in Redis about one account."""

    entries: dict[UUID, tuple[str, str]]
    used: dict[str, int]
    version: int | None
    confirmed: set[UUID]
    flight: dict[str, int]


class Gateways:
    """Makes gateways' admissions over one Redis and one ledger, and looks into Redis past them."""

    def __init__(self, url: str, ledger: MemoryLedger) -> None:
        self.url = url
        self.ledger = ledger
        self._made: list[tuple[PlannedAdmission, RedisConnection]] = []
        self._eyes = RedisConnection(url)

    async def make(self, *, patience_s: float = 900.0, **values: Any) -> PlannedAdmission:
        redis = RedisConnection(self.url)
        admission = PlannedAdmission(
            redis=redis, ledger=self.ledger, instance=f"gateway-{len(self._made)}", patience_s=patience_s, **values
        )
        await admission.start()
        self._made.append((admission, redis))
        return admission

    async def crash(self, admission: Admission) -> None:
        """The process is gone: no heartbeat, no settlement."""
        await admission._tasks.stop()
        self._made = [(one, redis) for one, redis in self._made if one is not admission]

    async def look(self, account_id: UUID) -> Sight:
        keys = account_keys(account_id)
        version, calls, used, confirmed, flight = [
            await self.redis(*words)
            for words in (
                ("HGET", keys[0], "version"),
                ("HGETALL", keys[1]),
                ("HGETALL", keys[2]),
                ("ZRANGE", keys[3], "0", "-1"),
                ("HGETALL", keys[4]),
            )
        ]
        entries = {}
        for call, entry in zip(calls[::2], calls[1::2], strict=True):
            fields = entry.decode().split("|", 16)
            entries[UUID(call.decode())] = fields[0], fields[15].replace(":c=", "=")
        return Sight(
            entries=entries,
            used={
                name.decode().removesuffix(":c"): int(amount)
                for name, amount in zip(used[::2], used[1::2], strict=True)
            },
            version=None if version is None else int(version),
            confirmed={UUID(call.decode()) for call in confirmed},
            flight={name.decode(): int(count) for name, count in zip(flight[::2], flight[1::2], strict=True)},
        )

    async def redis(self, *words: str) -> Any:
        return await self._eyes.attempt(lambda session: session.command(*words))

    async def available(self, admission: Admission, account_id: UUID) -> int:
        """Asked with an amount that is always refused, so that nothing changes."""
        answer = await admission.admit(request_for(account_id, 10**17))
        assert answer.reason == "amount_too_large"
        return answer.available_nano

    async def close(self) -> None:
        for admission, redis in self._made:
            await admission.stop()
            await redis.stop()
        await self._eyes.stop()


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def slices() -> Callable[..., Slice]:
    return slice_of


@pytest.fixture
def call() -> Callable[..., Wish]:
    return request_for


@pytest.fixture
def plan() -> Callable[..., AdmissionRequest]:
    return planned


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def quiet_redis(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisServer]:
    """A Redis of these tests alone: whole gateways of other tests sweep the stack's, with a ledger of their own."""
    folder = tmp_path_factory.mktemp("quiet-redis")
    server = RedisServer(folder / "redis", port=free_ports(1)[0], log_path=folder / "redis.log")
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def gateways(quiet_redis: RedisServer, ledger: MemoryLedger) -> AsyncIterator[Gateways]:
    made = Gateways(quiet_redis.url, ledger)
    await made.redis("FLUSHALL")
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def own_redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A Redis of this test alone, to be killed and started again."""
    server = RedisServer(tmp_path / "redis", port=free_ports(1)[0], log_path=tmp_path / "redis.log")
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def own_gateways(own_redis: RedisServer, ledger: MemoryLedger) -> AsyncIterator[Gateways]:
    made = Gateways(own_redis.url, ledger)
    yield made
    await made.close()

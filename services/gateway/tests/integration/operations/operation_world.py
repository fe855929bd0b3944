"""Desks of several gateways over one real Redis; admission and Kafka are stand-ins that can fail where asked."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import orjson

from contracts.event import decode
from contracts.gateway import UsageRecorded
from contracts.ledger import BalanceChanged
from contracts.terms import Terms
from gateway.admission.connection import RedisConnection
from gateway.admission.hold import Stamped
from gateway.admission.types import (
    AccountTerms,
    AdmissionRequest,
    AdmissionUnavailableError,
    Admitted,
    Allocation,
    Amounts,
    Left,
    Refused,
    Replan,
)
from gateway.operations.admitting import OperationAdmission
from gateway.operations.desk import OperationsDesk, WantedUse
from gateway.operations.ending import OperationEnding
from gateway.operations.memory import OperationMemory
from gateway.operations.seal import HoldSeal
from gateway.usage.journal import JournalError
from kit.clock import Clock, SystemClock
from kit.tokens import Caller
from rating import PriceBook

SLICE = str(uuid4())
CREDIT = 1_000_000_000
IMAGE_NANO = 46_000_000  # 0.04 and 15 %


class Killed(BaseException):
    """The process dies here."""


@dataclass
class Admissions:
    """What all gateways' scripts see: idempotent by call id, one slice of credits."""

    clock: Clock
    available_nano: int = 100 * CREDIT
    markup_bps: int = 1_500
    held: dict[UUID, tuple[Admitted, AdmissionRequest]] = field(default_factory=dict)
    ended: dict[UUID, Amounts] = field(default_factory=dict)
    die_after: set[str] = field(default_factory=set)
    away: bool = False

    @property
    def terms(self) -> AccountTerms:
        return AccountTerms.of(
            BalanceChanged(
                id=uuid4(),
                time=self.clock.now(),
                account_id=uuid4(),
                version=1,
                state="open",
                plan_id="trial",
                plan_version=1,
                markup_bps=self.markup_bps,
                terms=Terms(),
            )
        )

    def terms_of(self, account_id: UUID) -> AccountTerms | None:
        return None

    async def learn_terms(self, account_id: UUID) -> AccountTerms:
        return replace(self.terms, markup_bps=1)

    async def admit(self, request: AdmissionRequest) -> Admitted | Refused | Replan:
        if self.away:
            raise AdmissionUnavailableError
        terms = self.terms
        if request.terms.markup_bps != terms.markup_bps:
            return Replan(terms, near=False)
        if request.call_id in self.held:
            return self.held[request.call_id][0]
        nano = request.amounts.credit_nano
        if nano > self.available_nano:
            return Refused(reason="credit", required=request.amounts, left=Left(self.available_nano))
        self.available_nano -= nano
        admitted = Admitted(
            call_id=request.call_id,
            account_id=request.account_id,
            admitted_at=self.clock.now(),
            amounts=request.amounts,
            allocation=(Allocation(SLICE, "credit", nano),),
            plan_id=terms.plan_id,
            plan_version=terms.plan_version,
            markup_bps=terms.markup_bps,
            left=Left(self.available_nano),
        )
        self.held[request.call_id] = admitted, request
        if "admit" in self.die_after:
            raise Killed
        return admitted

    def never_began(self, call_id: UUID, *, account_id: UUID) -> None:
        del self.held[call_id]

    def memo(self, call_id: UUID, amounts: Amounts, *, stamped: Stamped) -> bytes:
        return b"memo"

    async def settle(self, call_id: UUID, amounts: Amounts, *, account_id: UUID | None = None) -> object:
        assert account_id is not None
        self.ended[call_id] = amounts
        return "ok"


@dataclass
class Store:
    """Kafka: the bytes of every event, in order."""

    events: list[bytes] = field(default_factory=list)
    room: bool = True
    is_up: bool = True
    die_before: bool = False

    async def store(self, account_id: UUID, call_id: UUID, value: bytes, *, memo: Any = None) -> bool:
        if self.die_before:
            raise Killed
        await asyncio.sleep(0)
        if self.is_up:
            self.events.append(value)
        return self.is_up

    @property
    def told(self) -> list[UsageRecorded]:
        found = [decode(value, {UsageRecorded.type: UsageRecorded}).event for value in self.events]
        return [event for event in found if isinstance(event, UsageRecorded)]


@dataclass
class Journal:
    """Which admissions a restart would report."""

    open: set[UUID] = field(default_factory=set)
    all: list[UUID] = field(default_factory=list)
    is_broken: bool = False

    def admitted(self, admitted: Any, *, report: bytes) -> None:
        if self.is_broken:
            raise JournalError
        orjson.loads(report)
        self.open.add(admitted.call_id)
        self.all.append(admitted.call_id)

    def ended(self, call_ids: Any) -> None:
        self.open.difference_update(call_ids)


@dataclass(frozen=True)
class OneBook:
    book: PriceBook

    def in_force(self, at: datetime) -> PriceBook:
        return self.book

    def of_version(self, version: int) -> PriceBook:
        assert version == self.book.version
        return self.book


@dataclass
class OperationWorld:
    """Gateways are made by `desk`; they share Redis, admission and Kafka."""

    redis: RedisConnection
    clock: Clock
    admissions: Admissions
    books: OneBook
    store: Store = field(default_factory=Store)
    journal: Journal = field(default_factory=Journal)

    def desk(self, instance: str = "gateway-1", *, offset_s: Callable[[], float] = lambda: 0.0) -> OperationsDesk:
        memory = OperationMemory(self.redis, clock=SystemClock(offset_s()))
        admission = OperationAdmission(self.admissions, self.journal, self.store, self.books, self.clock, instance)
        ending = OperationEnding(memory, self.admissions, self.store, self.books, self.clock)
        return OperationsDesk(admission, ending, memory, HoldSeal(b"secret"), self.clock)

    async def lose_redis(self, account_id: UUID) -> None:
        """As far as this account is concerned."""
        keys = await self.redis.attempt(lambda session: session.command("KEYS", f"{{{account_id.hex}}}*"))
        assert keys
        await self.redis.attempt(lambda session: session.command("DEL", *keys))

    def use(self, caller: Caller, **changes: Any) -> WantedUse:
        said = {"name": "image", "quantity": 2, "unit": None, "project_id": None, "idempotency_key": "key-1"}
        said |= changes
        body = said.pop("body", "a body")
        return WantedUse(caller=caller, body_sha256=body, **said)


def server(clock: Clock, **changes: Any) -> Caller:
    """A customer's server with an API key."""
    said: dict[str, Any] = {
        "user_id": uuid4(),
        "account_id": uuid4(),
        "role": "developer",
        "operator": False,
        "session_id": None,
        "api_key_id": uuid4(),
        "project_id": None,
        "plan": "trial",
        "scopes": (),
        "expires_at": clock.now(),
    }
    return Caller(**(said | changes))

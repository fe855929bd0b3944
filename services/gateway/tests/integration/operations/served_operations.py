"""Several gateways' own routes over real admission; identity and Kafka are stand-ins."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
from fastapi import FastAPI
from operation_world import Journal, OneBook, Store

from contracts.gateway import CallsRefused
from contracts.ledger import BalanceChanged, Slice
from contracts.money import NANO_PER_CREDIT, Unit
from gateway.admission import Admission, RedisConnection, Sweeper
from gateway.admission.types import AdmissionRequest, Admitted, Decision, UnknownAccountError
from gateway.dataplane.elastic import first_step
from gateway.entrypoints import limits, operations, quote
from gateway.entrypoints.own_api import OwnApi
from gateway.identity.credential import Credential
from gateway.operations.admitting import OperationAdmission
from gateway.operations.desk import OperationsDesk
from gateway.operations.ending import OperationEnding
from gateway.operations.memory import OperationMemory
from gateway.operations.seal import HoldSeal
from gateway.surfaces.amount_text import credits_text
from gateway.surfaces.anthropic.messages import MessagesSurface
from gateway.surfaces.estimates import Estimator
from gateway.surfaces.limit_headers import LimitHeaders
from gateway.usage.event import orphan_event
from gateway.usage.refusals import RefusalCounts
from kit.clock import SystemClock
from kit.ids import uuid7
from kit.tokens import Caller, InvalidTokenError
from rating import PriceBook


@dataclass
class Ledger:
    """Snapshots as the ledger would give them."""

    snapshots: dict[UUID, BalanceChanged] = field(default_factory=dict)

    async def snapshot(self, account_id: UUID, calls: Sequence[UUID]) -> BalanceChanged:
        if account_id not in self.snapshots:
            raise UnknownAccountError
        return self.snapshots[account_id]


@dataclass
class Identity:
    """Callers by their credential."""

    callers: dict[str, Caller] = field(default_factory=dict)

    async def of(self, headers: Any, *, peer: str = "") -> Credential:
        for name, value in headers:
            if name == b"x-api-key" and value.decode() in self.callers:
                return Credential.of(self.callers[value.decode()], "token")
        raise InvalidTokenError("no")


@dataclass
class Said:
    """What was published beside usage."""

    events: list[CallsRefused] = field(default_factory=list)

    async def say(self, event: Any) -> bool:
        self.events.append(event)
        return True


class OneModel:
    """Routing to one model."""

    def choose(self, model: str, **_: Any) -> Any:
        return Chosen(model, (model,))


@dataclass(frozen=True)
class Chosen:
    model: str
    serving_models: tuple[str, ...]
    near: bool = False


@dataclass
class Node:
    """One gateway."""

    http: httpx2.AsyncClient
    admission: Admission
    redis: RedisConnection


@dataclass
class Served:
    """What all gateways share."""

    redis_url: str
    book: PriceBook
    clock: SystemClock = field(default_factory=SystemClock)
    ledger: Ledger = field(default_factory=Ledger)
    identity: Identity = field(default_factory=Identity)
    store: Store = field(default_factory=Store)
    journal: Journal = field(default_factory=Journal)
    said: Said = field(default_factory=Said)
    nodes: list[Node] = field(default_factory=list)

    def account(self, *, credit: float = 10, **changes: Any) -> "Customer":
        account_id, key = uuid4(), f"key-{uuid4()}"
        role = changes.pop("role", "developer")
        people: dict[str, Any] = {"user_id": uuid4(), "api_key_id": uuid4(), "project_id": None, "scopes": ()}
        people |= {name: changes.pop(name) for name in list(changes) if name in people}
        self.identity.callers[key] = Caller(
            account_id=account_id,
            role=role,
            operator=False,
            session_id=None,
            plan="trial",
            expires_at=self.clock.now() + timedelta(hours=1),
            **people,
        )
        self.ledger.snapshots[account_id] = snapshot(account_id, credit=credit, **changes)
        return Customer(self, account_id, key, self.identity.callers[key])

    async def gateway(self, instance: str, *, offset_s: float = 0.0) -> Node:
        redis = RedisConnection(self.redis_url)
        admission = Admission(
            redis=redis, ledger=self.ledger, instance=instance, patience_s=900, clock=SystemClock(offset_s)
        )
        await admission.start()
        transport = httpx2.ASGITransport(self._app(admission, redis, instance, offset_s))
        http = httpx2.AsyncClient(transport=transport, base_url="http://gateway.test")
        node = Node(http, admission, redis)
        self.nodes.append(node)
        return node

    def _app(self, admission: Admission, redis: RedisConnection, instance: str, offset_s: float) -> FastAPI:
        books = OneBook(self.book)
        memory = OperationMemory(redis, clock=SystemClock(offset_s))
        desk = OperationsDesk(
            OperationAdmission(admission, self.journal, self.store, books, self.clock, instance),
            OperationEnding(memory, admission, self.store, books, self.clock),
            memory,
            HoldSeal(b"secret"),
            self.clock,
        )
        counts = RefusalCounts(instance=instance, say=self.said, clock=self.clock)
        own = OwnApi(self.identity, counts, LimitHeaders(), self.clock, "http://upgrade.test")  # type: ignore[arg-type]
        surface = MessagesSurface(Estimator())
        quoting = quote.Quoting(admission, OneModel(), books, {surface.name: surface}, self.clock)  # type: ignore[arg-type]
        app = FastAPI()
        app.include_router(operations.build_router(desk, own))
        app.include_router(quote.build_router(quoting, own))
        app.include_router(limits.build_router(admission, own))
        return app

    def sweeper(self, *, offset_s: float) -> Sweeper:
        async def publish(
            account_id: UUID, call_id: UUID, report: bytes, allocation: Any, admitted_at: datetime
        ) -> None:
            value = orphan_event(
                report,
                account_id=account_id,
                call_id=call_id,
                allocation=allocation,
                admitted_at=admitted_at,
                instance="sweeper",
            )
            await self.store.store(account_id, call_id, value)

        return Sweeper(
            redis=self.nodes[0].redis,
            ledger=self.ledger,
            publish=publish,
            patience_s=900,
            clock=SystemClock(offset_s),
            lease_s=0.05,
        )

    async def stop(self) -> None:
        for node in self.nodes:
            await node.http.aclose()
            await node.admission.stop()
            await node.redis.stop()


@dataclass
class Customer:
    """A customer's server."""

    served: Served
    account_id: UUID
    key: str
    caller: Caller

    async def post(self, node: Node, path: str, body: Any = None, *, key: str | None = None) -> httpx2.Response:
        headers = {"x-api-key": self.key, **({"idempotency-key": key} if key else {})}
        return await node.http.post(path, json=body, headers=headers)

    async def get(self, node: Node, path: str) -> httpx2.Response:
        return await node.http.get(path, headers={"x-api-key": self.key})

    async def hold(self, node: Node, *, key: str = "key-1", status: int = 201, **body: Any) -> dict[str, Any]:
        answer = await self.post(node, "/v1/holds", {"operation": "image", "quantity": 2, **body}, key=key)
        assert answer.status_code == status, answer.text
        said: dict[str, Any] = answer.json()
        return said

    async def ask_quote(self, node: Node, raw: bytes, *, surface: str = "/v1/messages") -> httpx2.Response:
        headers = {"x-api-key": self.key, "content-type": "application/json"}
        return await node.http.post("/v1/quote", params={"surface": surface}, content=raw, headers=headers)

    async def quote(self, node: Node, raw: bytes, *, surface: str = "/v1/messages") -> dict[str, Any]:
        answer = await self.ask_quote(node, raw, surface=surface)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said

    async def decide_call(self, node: Node, raw: bytes) -> Decision:
        """Admission of a call to `/v1/messages`, step by step as `dataplane.paid` has them."""
        surface, model_of = MessagesSurface(Estimator()), OneModel()
        ask = surface.parse(quote.Read(raw, {}))
        terms = await node.admission.learn_terms(self.account_id)
        choice = model_of.choose(ask.model)
        estimate = surface.estimate(ask, choice, book=self.served.book, terms=terms, at=self.served.clock.now())
        amounts = estimate.worst()
        if ask.streamed and terms.admission == "elastic":
            amounts = estimate.with_output(first_step(estimate, terms.terms.elastic_step_tokens))
        return await node.admission.admit(
            AdmissionRequest(
                call_id=uuid7(self.served.clock),
                account_id=self.account_id,
                user_id=self.caller.user_id,
                api_key_id=self.caller.api_key_id,
                model=choice.model,
                amounts=amounts,
                terms=terms,
                max_tokens=estimate.max_tokens,
            )
        )

    async def admit_call(self, node: Node, raw: bytes) -> str:
        """What is held for it, in credits."""
        decided = await self.decide_call(node, raw)
        assert isinstance(decided, Admitted), decided
        return credits_text(sum(one.amount for one in decided.allocation if one.unit == "credit"))

    async def units(self, node: Node) -> dict[str, dict[str, str]]:
        answer = (await self.get(node, "/v1/limits")).json()
        return {one["unit"]: one for one in answer["amounts"]}

    async def lose_redis(self, node: Node) -> None:
        """As far as this account is concerned."""
        keys = await node.redis.attempt(lambda session: session.command("KEYS", f"*{self.account_id.hex}*"))
        await node.redis.attempt(lambda session: session.command("DEL", *keys))


def snapshot(account_id: UUID, *, credit: float, **changes: Any) -> BalanceChanged:
    now = datetime.now(UTC)
    granted = Slice(
        slice_id=uuid4(),
        unit=Unit.CREDIT,
        amount=round(credit * NANO_PER_CREDIT),
        starts_at=now - timedelta(days=1),
        expires_at=now + timedelta(days=1),
    )
    values: dict[str, Any] = {"version": 1, "state": "open", "markup_bps": 1500, "arming": 1, "plan_id": "trial"}
    values |= {"plan_version": 1, "slices": (granted,) if credit else ()}
    return BalanceChanged(id=uuid4(), time=now, account_id=account_id, **(values | changes))


@asynccontextmanager
async def serving(redis_url: str, book: PriceBook) -> AsyncIterator[Served]:
    served = Served(redis_url, book)
    try:
        yield served
    finally:
        await served.stop()
        await asyncio.sleep(0)

"""The use cases: hold, confirm, release, look up, and hold and confirm in one go."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from gateway.admission.types import AdmissionUnavailableError
from gateway.errors import ModelApiError
from gateway.operations.admitting import AdmittedOperation, OperationAdmission, OperationOrder, OperationRefusedError
from gateway.operations.answers import hold_answer
from gateway.operations.ending import OperationEnding
from gateway.operations.memory import KEY_KEPT_S, OperationMemory
from gateway.operations.pricing import charged
from gateway.operations.seal import HoldFacts, HoldSeal, unknown_hold
from kit.clock import Clock
from kit.errors import DomainError
from kit.ids import uuid7
from kit.tokens import Caller

HOLDS: Final = "/v1/holds"
USAGE: Final = "/v1/usage"
_REMEMBERED: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedUse:
    """A request of a customer's server, as it came."""

    caller: Caller
    name: str
    quantity: int
    unit: str | None
    project_id: UUID | None
    idempotency_key: str
    body_sha256: str


@dataclass(frozen=True, slots=True)
class Answer:
    """`admitted` is there when this very request took something."""

    body: bytes
    admitted: AdmittedOperation | None = None


@dataclass(frozen=True, slots=True)
class OperationsDesk:
    """One per process."""

    admission: OperationAdmission
    ending: OperationEnding
    memory: OperationMemory
    seal: HoldSeal
    clock: Clock

    async def hold(self, use: WantedUse, *, expires_in_s: int) -> Answer:
        """Reserve what the operation can cost, until it is confirmed, released or expired."""
        expires_at = self.clock.now() + timedelta(seconds=expires_in_s)

        async def answer(operation: AdmittedOperation) -> bytes:
            facts = operation.facts
            amount_nano = operation.admitted.amounts.credit_nano
            return hold_answer(facts, hold_id=self.seal.hold_id(facts), amount_nano=amount_nano)

        return await self._once(use, HOLDS, answer, expires_at=expires_at, kept_s=KEY_KEPT_S + expires_in_s)

    async def record(self, use: WantedUse) -> Answer:
        """Admit and book in one go."""

        async def answer(operation: AdmittedOperation) -> bytes:
            return await self.ending.end(operation.facts, how="recorded", quantity=operation.facts.quantity)

        return await self._once(use, USAGE, answer, expires_at=None, kept_s=KEY_KEPT_S)

    async def confirm(self, caller: Caller, hold_id: str, *, quantity: int | None) -> bytes:
        """Charge what was done, at most what was held: more would pass the cap that the hold stands for."""
        facts = self._mine(caller, hold_id)
        if quantity is not None and quantity > facts.quantity:
            raise ModelApiError(400, f"quantity: Input is above the held {facts.quantity}; hold the rest on its own")
        return await self.ending.end(facts, how="confirmed", quantity=facts.quantity if quantity is None else quantity)

    async def release(self, caller: Caller, hold_id: str) -> bytes:
        """Charge nothing and let the hold go."""
        return await self.ending.end(self._mine(caller, hold_id), how="released", quantity=0)

    async def find(self, caller: Caller, hold_id: str) -> bytes:
        """The hold, or how it ended; what is long past is the ledger's to tell."""
        facts = self._mine(caller, hold_id)
        assert facts.expires_at is not None
        ended = await self.memory.end_of(facts.account_id, facts.call_id)
        if ended is not None:
            return ended.answer
        now = self.clock.now()
        if now > facts.expires_at + _REMEMBERED:
            raise ModelApiError(404, f"hold: it is long past; see GET /v1/requests/{facts.call_id}")
        book = self.admission.books.of_version(facts.price_book_version)
        charge = charged(book, name=facts.operation, quantity=facts.quantity, markup_bps=facts.markup_bps)
        state = "held" if now < facts.expires_at else "expired"
        return hold_answer(facts, hold_id=hold_id, amount_nano=charge.price_nano, state=state)

    async def _once(
        self,
        use: WantedUse,
        route: str,
        answer: Callable[[AdmittedOperation], Awaitable[bytes]],
        *,
        expires_at: datetime | None,
        kept_s: int,
    ) -> Answer:
        """Under an idempotency key: the first use is admitted, each other gets its answer."""
        account_id, key = use.caller.account_id, use.idempotency_key
        claim = await self.memory.claim(
            account_id, route, key, body_sha256=use.body_sha256, call_id=uuid7(self.clock), kept_s=kept_s
        )
        if claim.state == "other":
            raise ModelApiError(409, "Idempotency-Key: it was used with another body")
        assert claim.call_id is not None
        if claim.state == "done":
            return Answer(claim.answer)
        told = await self.ending.tell_again(account_id, claim.call_id) if claim.state == "again" else None
        if told is not None:
            return Answer(told)
        operation = await self._admit(_order(use, route, call_id=claim.call_id, expires_at=expires_at))
        body = await answer(operation)
        body = await self.memory.answered(account_id, route, key, call_id=claim.call_id, answer=body)
        return Answer(body, operation)

    async def _admit(self, order: OperationOrder) -> AdmittedOperation:
        """Whatever keeps it from being admitted leaves the key free: nothing is held, or admission gives it back."""
        try:
            return await self.admission.admit(order)
        except (ModelApiError, OperationRefusedError, DomainError):
            with suppress(AdmissionUnavailableError):
                account_id, key = order.caller.account_id, order.idempotency_key
                await self.memory.forget(account_id, order.surface, key, call_id=order.call_id)
            raise

    def _mine(self, caller: Caller, hold_id: str) -> HoldFacts:
        facts = self.seal.facts(hold_id, account_id=caller.account_id)
        if caller.project_id is not None and facts.project_id != caller.project_id:
            raise unknown_hold()
        return facts


def _order(use: WantedUse, route: str, *, call_id: UUID, expires_at: datetime | None) -> OperationOrder:
    return OperationOrder(
        caller=use.caller,
        surface=route,
        call_id=call_id,
        name=use.name,
        quantity=use.quantity,
        unit=use.unit,
        project_id=use.project_id,
        idempotency_key=use.idempotency_key,
        body_sha256=use.body_sha256,
        expires_at=expires_at,
    )

"""The end of an operation: decided once in Redis, durable in Kafka or the spool, then the hold becomes the price."""

from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, Protocol
from uuid import UUID

import orjson

from contracts.gateway import Operation
from gateway.admission.hold import Stamped
from gateway.admission.types import NOTHING, Admitted, Amounts
from gateway.errors import ModelApiError, unavailable
from gateway.operations.admitting import ROUTE, Books, UsageStore, call_facts
from gateway.operations.answers import Ended, ended_answer
from gateway.operations.memory import Finish, OperationMemory
from gateway.operations.pricing import amounts_of, charged
from gateway.operations.seal import HoldFacts
from gateway.usage.ending import Ending, Progress
from gateway.usage.event import usage_event
from kit.clock import Clock
from rating import Charge

_RELEASED: Final = "released"

How = Literal["confirmed", "released", "recorded"]


class Settlement(Protocol):
    """The part of admission that an ended operation needs."""

    def memo(self, call_id: UUID, amounts: Amounts, *, stamped: Stamped) -> bytes:
        """What enters the ended operation again after a loss of Redis."""
        ...

    async def settle(self, call_id: UUID, amounts: Amounts, *, account_id: UUID | None = None) -> object:
        """The hold becomes the price; never raises. On a hold that Redis has lost it makes the ended entry."""
        ...


@dataclass(frozen=True, slots=True)
class OperationEnding:
    """Ends operations; asking for the same end again gives the same answer, from whichever gateway."""

    memory: OperationMemory
    settlement: Settlement
    store: UsageStore
    books: Books
    clock: Clock

    async def end(self, facts: HoldFacts, *, how: How, quantity: int) -> bytes:
        """The answer; raises `ModelApiError` when it has ended otherwise, or too late, or cannot be stored now."""
        charge = self._charge(facts, quantity)
        finish = await self._decide(facts, how=how, quantity=quantity, charge=charge)
        if finish.state == "late":
            raise too_late(facts)
        if finish.state == "other":
            state = orjson.loads(finish.answer)["state"]
            raise ModelApiError(409, f"hold: it is {state} already, and not as asked for now")
        amounts = NOTHING if how == "released" else amounts_of(charge)
        memo = partial(self.settlement.memo, facts.call_id, amounts, stamped=facts)
        if not await self.store.store(facts.account_id, facts.call_id, finish.event, memo=memo):
            raise unavailable("The operation could not be recorded; try again with the same key.")
        await self.settlement.settle(facts.call_id, amounts, account_id=facts.account_id)
        return finish.answer

    async def tell_again(self, account_id: UUID, call_id: UUID) -> bytes | None:
        """The answer of an operation that has ended, its event told once more; None for one that has not."""
        end = await self.memory.end_of(account_id, call_id)
        if end is not None and not await self.store.store(account_id, call_id, end.event):
            raise unavailable("The operation could not be recorded; try again with the same key.")
        return None if end is None else end.answer

    def _charge(self, facts: HoldFacts, quantity: int) -> Charge:
        book = self.books.of_version(facts.price_book_version)
        return charged(book, name=facts.operation, quantity=quantity, markup_bps=facts.markup_bps)

    async def _decide(self, facts: HoldFacts, *, how: How, quantity: int, charge: Charge) -> Finish:
        now = self.clock.now()
        return await self.memory.finish(
            facts.account_id,
            facts.call_id,
            asked=f"{how}:{quantity}",
            event=self._event(facts, how=how, quantity=quantity),
            answer=ended_answer(facts, Ended(how, quantity, charge, now)),
            before=facts.expires_at,
        )

    def _event(self, facts: HoldFacts, *, how: How, quantity: int) -> bytes:
        operation = Operation(
            name=facts.operation,
            quantity=quantity,
            unit=facts.unit,
            idempotency_key=facts.idempotency_key,
            body_sha256=facts.body_sha256,
        )
        known = call_facts(
            facts,
            project_id=facts.project_id,
            surface=facts.surface,
            book_version=facts.price_book_version,
            operation=operation,
        )
        released = how == "released"
        ending = Ending("completed", "none" if released else "provider")
        return usage_event(
            known,
            _stamped(facts),
            ending,
            Progress(),
            instance=facts.instance,
            ended_at=self.clock.now(),
            route=ROUTE,
            basis_reason=_RELEASED if released else None,
        )


def _stamped(facts: HoldFacts) -> Admitted:
    """What admission answered, as the id of the hold says it."""
    return Admitted(
        call_id=facts.call_id,
        account_id=facts.account_id,
        admitted_at=facts.admitted_at,
        amounts=NOTHING,
        allocation=facts.allocation,
        plan_id=facts.plan_id,
        plan_version=facts.plan_version,
        markup_bps=facts.markup_bps,
    )


def too_late(facts: HoldFacts) -> ModelApiError:
    assert facts.expires_at is not None
    return ModelApiError(409, f"hold: it expired at {facts.expires_at.isoformat()}; make a new one")

"""Operators give back what a call was charged, in whole or in part (money.md 23)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.money import Unit
from kit.clock import Clock
from kit.ids import uuid7
from ledger.domain.rerating import Burnt, left_of
from ledger.domain.reverting import Returned
from ledger.errors import RefundError, UnknownRequestError
from ledger.repository import reading
from ledger.repository.usage_days import DayCorrection, correct_days, day_of
from ledger.service.auditing import Act, Auditing
from ledger.service.catalogue import Catalogue
from ledger.service.saving import lock_book, save


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """`amount_nano` None: everything that has not been given back yet, in whatever unit it was paid."""

    account_id: UUID
    request_id: UUID
    amount_nano: int | None
    reason: str
    actor_user_id: UUID


class Refunded(NamedTuple):
    """What became of a refund."""

    refund_id: UUID
    returned: Returned
    available_nano: int
    debt_nano: int
    version: int


@dataclass(frozen=True, slots=True)
class Refunding:
    """Refunds of calls."""

    catalogue: Catalogue
    clock: Clock

    async def refund_call(self, session: AsyncSession, wanted: Refund) -> Refunded:
        """Give back a call's own burns, last first; what would fall into an expired grant comes as a new one."""
        now, refund_id = self.clock.now(), uuid7(self.clock)
        charge = await reading.find_charge(session, wanted.account_id, wanted.request_id)
        if charge is None:
            raise UnknownRequestError("There is no such request.", field="request_id")
        booked = await reading.list_charge_transfers(session, charge)
        grant_ids = sorted({one.grant_id for one in booked if one.grant_id})
        book = await lock_book(session, wanted.account_id, now=now, also=grant_ids, catalogue=self.catalogue)
        # Read under the lock: two refunds of one call at once must not both find it whole.
        corrections = await reading.list_corrections(session, wanted.account_id, wanted.request_id)
        # Both lists hold what was corrected in the very instant of the booking.
        burns = left_of({one.seq: one for one in (*booked, *corrections)}.values())
        amounts = _amounts(burns, wanted.amount_nano)
        returned = book.reverse_charge(
            burns, charge_id=wanted.request_id, reference=f"refund:{refund_id}", amounts=amounts
        )
        await correct_days(session, [_of_day(charge, returned)])
        await save(session, [book], catalogue=self.catalogue, now=now)
        await self._record(session, wanted, refund_id, returned)
        return Refunded(refund_id, returned, book.available_nano(), book.account.debt_nano, book.account.version)

    async def _record(self, session: AsyncSession, wanted: Refund, refund_id: UUID, returned: Returned) -> None:
        act = Act(
            account_id=wanted.account_id,
            actor_user_id=wanted.actor_user_id,
            action="request.refund",
            target=f"request:{wanted.request_id}",
            reason=wanted.reason,
            after={
                "refund_id": str(refund_id),
                "credit_nano": str(returned.credit_nano),
                "tokens": str(returned.tokens),
                "requests": str(returned.requests),
            },
        )
        await Auditing(self.clock).record(session, act)


def _of_day(charge: Any, returned: Returned) -> DayCorrection:
    """A refund leaves what was asked for the call, which margins do not count, and takes back what was earned."""
    day, plan_id = day_of(charge.admitted_at), charge.plan_id or ""
    return DayCorrection(charge.account_id, charge.id, day, plan_id, charge.model, 0, 0, -returned.recognised_nano)


def _amounts(burns: Sequence[Burnt], wanted_nano: int | None) -> dict[str, int] | None:
    if not burns:
        raise RefundError("Nothing of this request is left to give back.", field="request_id")
    if wanted_nano is None:
        return None
    if wanted_nano > sum(burnt.amount for burnt in burns if burnt.unit == Unit.CREDIT):
        raise RefundError("That is more than the request was charged in credits.", field="amount_credits")
    return {Unit.CREDIT.value: wanted_nano}

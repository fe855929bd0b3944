"""A charge that is given back: its own burns, last first (money.md 23)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from contracts.money import Unit
from kit.ids import fact_id
from ledger.domain.grants import Grant
from ledger.domain.page import Page
from ledger.domain.transfers import TransferKind

RETURNED: Final = timedelta(days=30)


@dataclass(slots=True)
class Returned:
    """What was given back, by unit, and what of it was recognised as revenue."""

    credit_nano: int = 0
    tokens: int = 0
    requests: int = 0
    recognised_nano: int = 0

    def add(self, unit: str, amount: int) -> None:
        if unit == Unit.CREDIT:
            self.credit_nano += amount
        elif unit == Unit.TOKEN:
            self.tokens += amount
        else:
            self.requests += amount


class Reverting(Page):
    """The side of a page that corrections give back to."""

    __slots__ = ()

    def reverse_charge(
        self,
        burns: Sequence[Any],
        *,
        charge_id: UUID,
        reference: str,
        amounts: Mapping[str, int] | None = None,
    ) -> Returned:
        """Give back a call's burns, last first: all of them, or `amounts` by unit.

        `burns` are the call's deductions (`seq`, `source`, `target`, `unit`, `amount`, `grant_id`), less what was
        given back of them before; their grants are on the page. What would fall into an expired grant, and overage that
        may be billed already, becomes an adjustment grant of 30 days.
        """
        returned, anew = Returned(), dict.fromkeys((unit.value for unit in Unit), 0)
        wanted = dict(amounts) if amounts is not None else None
        targets: dict[str, str] = {}
        for burnt in sorted(burns, key=lambda one: one.seq, reverse=True):
            unit = str(burnt.unit)
            amount = burnt.amount if wanted is None else min(burnt.amount, wanted.get(unit, 0))
            if amount <= 0:
                continue
            if wanted is not None:
                wanted[unit] -= amount
            returned.add(unit, amount)
            targets[unit] = burnt.target
            given = self._give(burnt, amount, charge_id=charge_id, reference=reference, returned=returned)
            anew[unit] += amount - given
        for unit, amount in anew.items():
            if amount:
                self._give_anew(unit, amount, source=targets[unit], charge_id=charge_id, reference=reference)
        return returned

    def _give(self, burnt: Any, amount: int, *, charge_id: UUID, reference: str, returned: Returned) -> int:
        """Into the grant or the debt that paid; returns how much of it found its way."""
        kind = TransferKind.REVERSAL
        if burnt.grant_id is not None:
            grant = self.grant(burnt.grant_id)
            if grant is None:
                return 0
            returned.recognised_nano += _unrecognised(grant, amount)
            self.moved[grant.id] = grant
            if grant.expired_at(self.now):
                return 0
            self.deposit(grant, amount, source=burnt.target, kind=kind, reference=reference, charge_id=charge_id)
            return amount
        returned.recognised_nano += amount
        if burnt.source.startswith("debt:"):
            forgiven = min(amount, self.account.debt_nano)
            if forgiven:
                self.forgive(forgiven, source=burnt.target, kind=kind, reference=reference, charge_id=charge_id)
            return forgiven
        return 0

    def _give_anew(self, unit: str, amount: int, *, source: str, charge_id: UUID, reference: str) -> None:
        grant = Grant.adjusted(
            grant_id=fact_id("returned", self.account.id, charge_id, reference, unit),
            account_id=self.account.id,
            amount=amount,
            rule=f"returned:{charge_id}:{unit}:{reference}",
            expires_at=self.now + RETURNED,
            now=self.now,
            unit=Unit(unit),
        )
        # The call is named, so that whoever corrects it next knows what was given back.
        kind = TransferKind.REVERSAL
        self.open_grant(grant, source=source, kind=kind, reference=reference, charge_id=charge_id, arms=False)


def _unrecognised(grant: Grant, amount: int) -> int:
    before, grant.burnt = grant.burnt, grant.burnt - amount
    return grant.recognised_nano(before) - grant.recognised_nano(grant.burnt)

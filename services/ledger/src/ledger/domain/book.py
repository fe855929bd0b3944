"""One account's page of the books, under its lock: every posting goes through here."""

from contracts.money import Unit
from ledger.domain.burning import split
from ledger.domain.charging import Charging
from ledger.domain.grants import Grant
from ledger.domain.reverting import Reverting
from ledger.domain.thresholds import Crossing, crossings, is_near, parse_levels
from ledger.domain.transfers import STRIPE_CLEARING, TransferKind

_CREDIT = Unit.CREDIT


class AccountBook(Charging, Reverting):
    """An account's row, grants and budgets as locked, and what has been posted since; saved as a whole."""

    __slots__ = ()

    def take_back(self, grant: Grant, amount: int, *, reference: str, target: str = STRIPE_CLEARING) -> tuple[int, int]:
        """A reversed payment takes from the grant that it made; returns what that gave and what became debt.

        What expired or moved on unused was not spent: it is booked back first.
        """
        unspent = min(amount - grant.remaining, grant.revivable)
        if unspent > 0:
            self._revive(grant, unspent, reference=reference)
        taken = min(grant.remaining, amount)
        if taken:
            self.withdraw(grant, taken, target=target, kind=TransferKind.REFUND, reference=reference)
        owed = amount - taken if grant.unit is Unit.CREDIT else 0
        if owed:
            self.owe(owed, target=target, kind=TransferKind.REFUND, reference=reference)
        return taken, owed

    def give_back(self, grant: Grant, *, taken: int, owed: int, reference: str, source: str = STRIPE_CLEARING) -> None:
        """Invert what `take_back` did; debt that was repaid meanwhile comes back to the grant."""
        forgiven = min(owed, self.account.debt_nano)
        kind, returned = TransferKind.REINSTATEMENT, taken + owed - forgiven
        if forgiven:
            self.forgive(forgiven, source=source, kind=kind, reference=reference)
        if returned:
            self.deposit(grant, returned, source=source, kind=kind, reference=reference)

    def adjust_down(self, amount: int, *, target: str, reference: str) -> None:
        """Take an amount in burn order; what no grant covers becomes debt."""
        portions, left = split(amount, allocation=(), grants=self.grants, admitted_at=self.now, now=self.now)
        for grant, portion in portions:
            self.withdraw(grant, portion, target=target, kind=TransferKind.ADJUSTMENT, reference=reference)
        if left:
            self.owe(left, target=target, kind=TransferKind.ADJUSTMENT, reference=reference)

    def cross_thresholds(self) -> list[Crossing]:
        """The levels passed since the last look; each is reported once per arming."""
        account = self.account
        levels = parse_levels(account.levels) if account.levels else None
        found: list[Crossing] = []
        for unit, base in account.armed:
            available = self._balances[unit] + (account.debt_nano if unit is _CREDIT else 0)
            # Most accounts are asked this after each call, and are nowhere near.
            if levels is not None or is_near(base=base, available=available):
                found += crossings(unit, base=base, available=available, crossed=account.crossed, levels=levels)
        self.note_crossed(found)
        return found

    def note_crossed(self, found: list[Crossing]) -> None:
        if found:
            self.account.crossed = [*self.account.crossed, *(one.key for one in found)]

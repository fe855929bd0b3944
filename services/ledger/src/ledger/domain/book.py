"""One account's page of the books, under its lock: every posting goes through here."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from contracts.ledger import ThresholdLevel
from contracts.money import Unit
from ledger.domain import thresholds
from ledger.domain.account import Account
from ledger.domain.burning import split
from ledger.domain.grants import Grant, burn_order
from ledger.domain.pricing import RatedCall
from ledger.domain.transfers import (
    GOODWILL,
    PLATFORM_KINDS,
    PROVIDER,
    STRIPE_CLEARING,
    Transfer,
    TransferKind,
    cost_account,
    debt_account,
    revenue_account,
)


class AccountBook:
    """An account's row and grants as locked, and what has been posted since; saved as a whole."""

    __slots__ = ("_balance_nano", "account", "applied", "grants", "moved", "new_grants", "now", "transfers")

    def __init__(self, account: Account, grants: Iterable[Grant], *, now: datetime) -> None:
        self.account = account
        self.grants = sorted(grants, key=burn_order)
        self.now = now
        self.transfers: list[Transfer] = []
        self.new_grants: list[Grant] = []
        self.moved: dict[UUID, Grant] = {}
        self.applied: list[UUID] = []
        self._balance_nano = self.available_nano() - account.debt_nano

    def available_nano(self, at: datetime | None = None) -> int:
        """Credits that may be used at an instant, holds aside."""
        at = at or self.now
        return sum(grant.remaining for grant in self.grants if grant.unit is Unit.CREDIT and grant.valid_at(at))

    def grant(self, grant_id: UUID) -> Grant | None:
        return next((grant for grant in self.grants if grant.id == grant_id), None)

    def open_grant(self, grant: Grant, *, source: str, kind: TransferKind, reference: str | None = None) -> None:
        """Fund a new grant; recorded debt is paid out of it first, then it arms the thresholds anew."""
        self.grants.append(grant)
        self.grants.sort(key=burn_order)
        self.new_grants.append(grant)
        if grant.unit is Unit.CREDIT and grant.valid_at(self.now):
            self._balance_nano += grant.amount
        self._record(source, grant.ledger_account, grant.amount, kind=kind, grant=grant, reference=reference)
        self._repay_debt(grant, reference=reference)
        self._arm(max(self.now, grant.starts_at))

    def charge(self, call: RatedCall) -> tuple[int, int]:
        """Burn a call's price and book its cost beside it; the call's transfers are the sequence numbers returned."""
        first = self.account.transfer_seq + 1
        event, left = call.event, call.price_nano
        if left:
            portions, left = split(
                left, allocation=event.allocation, grants=self.grants, admitted_at=event.admitted_at, now=self.now
            )
            for grant, amount in portions:
                self._burn(grant, amount, call=call)
        if left:
            self._borrow(left, call=call)
        if call.cost_nano:
            # What is not charged is ours to bear: its cost is goodwill, not the model's.
            bearer = cost_account(call.model) if call.price_nano else GOODWILL
            self._record(bearer, PROVIDER, call.cost_nano, kind=TransferKind.COST, call=call)
        self.applied.append(event.id)
        return first, self.account.transfer_seq

    def reverse_orphan_cost(self, call: RatedCall, cost_nano: int) -> None:
        """The call that was given up ended after all: its cost is no goodwill."""
        if cost_nano:
            self._record(PROVIDER, GOODWILL, cost_nano, kind=TransferKind.COST_REVERSAL, call=call)

    def take_back(self, grant: Grant, amount: int, *, reference: str) -> tuple[int, int]:
        """A reversed payment takes from the grant that it made; returns what that gave and what became debt."""
        taken = min(grant.remaining, amount)
        if taken:
            self._withdraw(grant, taken, target=STRIPE_CLEARING, kind=TransferKind.REFUND, reference=reference)
        owed = amount - taken if grant.unit is Unit.CREDIT else 0
        if owed:
            self._owe(owed, target=STRIPE_CLEARING, kind=TransferKind.REFUND, reference=reference)
        return taken, owed

    def give_back(self, grant: Grant, *, taken: int, owed: int, reference: str) -> None:
        """Invert what `take_back` did; debt that was repaid meanwhile comes back to the grant."""
        forgiven = min(owed, self.account.debt_nano)
        kind, returned = TransferKind.REINSTATEMENT, taken + owed - forgiven
        if forgiven:
            self.account.debt_nano -= forgiven
            self._balance_nano += forgiven
            self._record(STRIPE_CLEARING, debt_account(self.account.id), forgiven, kind=kind, reference=reference)
        if returned:
            grant.remaining += returned
            self.moved[grant.id] = grant
            if grant.unit is Unit.CREDIT and grant.valid_at(self.now):
                self._balance_nano += returned
            self._record(STRIPE_CLEARING, grant.ledger_account, returned, kind=kind, grant=grant, reference=reference)

    def adjust_down(self, amount: int, *, target: str, reference: str) -> None:
        """Take an amount in burn order; what no grant covers becomes debt."""
        portions, left = split(amount, allocation=(), grants=self.grants, admitted_at=self.now, now=self.now)
        for grant, portion in portions:
            self._withdraw(grant, portion, target=target, kind=TransferKind.ADJUSTMENT, reference=reference)
        if left:
            self._owe(left, target=target, kind=TransferKind.ADJUSTMENT, reference=reference)

    def cross_thresholds(self) -> list[ThresholdLevel]:
        """The levels passed since the last look; each is reported once per arming."""
        account = self.account
        if account.armed_base <= 0 or len(account.crossed) == len(thresholds.SHARES):
            return []
        available = self._balance_nano + account.debt_nano
        levels = thresholds.passed(base=account.armed_base, available=available, crossed=account.crossed)
        account.crossed = [*account.crossed, *levels]
        return levels

    def _arm(self, at: datetime) -> None:
        self.account.arming += 1
        self.account.armed_base = self.available_nano(at)
        self.account.crossed = []

    def _repay_debt(self, grant: Grant, *, reference: str | None) -> None:
        repaid = min(self.account.debt_nano, grant.remaining) if grant.unit is Unit.CREDIT else 0
        if repaid:
            self.account.debt_nano -= repaid
            grant.remaining -= repaid
            # The debt goes down by what the grant gives up, so the balance stays, unless the grant is not usable yet.
            self._balance_nano += 0 if grant.valid_at(self.now) else repaid
            debt, kind = debt_account(self.account.id), TransferKind.DEBT_REPAYMENT
            self._record(grant.ledger_account, debt, repaid, kind=kind, grant=grant, reference=reference)

    def _burn(self, grant: Grant, amount: int, *, call: RatedCall) -> None:
        grant.remaining -= amount
        self.moved[grant.id] = grant
        if grant.valid_at(self.now):
            self._balance_nano -= amount
        revenue = revenue_account(call.model)
        self._record(grant.ledger_account, revenue, amount, kind=TransferKind.DEDUCTION, call=call, grant=grant)

    def _borrow(self, amount: int, *, call: RatedCall) -> None:
        self.account.debt_nano += amount
        self._balance_nano -= amount
        debt, revenue = debt_account(self.account.id), revenue_account(call.model)
        self._record(debt, revenue, amount, kind=TransferKind.DEDUCTION, call=call)

    def _withdraw(self, grant: Grant, amount: int, *, target: str, kind: TransferKind, reference: str) -> None:
        grant.remaining -= amount
        self.moved[grant.id] = grant
        if grant.unit is Unit.CREDIT and grant.valid_at(self.now):
            self._balance_nano -= amount
        self._record(grant.ledger_account, target, amount, kind=kind, grant=grant, reference=reference)

    def _owe(self, amount: int, *, target: str, kind: TransferKind, reference: str) -> None:
        self.account.debt_nano += amount
        self._balance_nano -= amount
        self._record(debt_account(self.account.id), target, amount, kind=kind, reference=reference)

    def _record(
        self,
        source: str,
        target: str,
        amount: int,
        *,
        kind: TransferKind,
        call: RatedCall | None = None,
        grant: Grant | None = None,
        reference: str | None = None,
    ) -> None:
        account = self.account
        account.transfer_seq += 1
        self.transfers.append(
            Transfer(
                account.id,
                account.transfer_seq,
                source,
                target,
                grant.unit if grant else Unit.CREDIT,
                amount,
                kind,
                call.event.id if call else None,
                grant.id if grant else None,
                reference,
                None if kind in PLATFORM_KINDS else self._balance_nano,
                self.now,
                call.event.admitted_at if call else self.now,
            )
        )

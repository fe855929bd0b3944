"""The plain postings of one account's page, under its lock: every amount that moves goes through `record`."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from contracts.billing import PlanPublished
from contracts.money import Unit
from ledger.domain import thresholds
from ledger.domain.account import Account
from ledger.domain.budgets import BudgetAccount
from ledger.domain.grants import ROLLED, Grant, burn_order
from ledger.domain.overage import Accrual, AccrualKey
from ledger.domain.transfers import PLATFORM_KINDS, Transfer, TransferKind, debt_account

# Made for each account of a batch, where looking up members of an enum, which is Python's own code, would be a third.
_CREDIT, _TOKEN, _REQUEST = Unit.CREDIT, Unit.TOKEN, Unit.REQUEST


class ClosedPeriod(NamedTuple):
    """A period that is over, in one unit."""

    plan_id: str
    plan_version: int
    starts_at: datetime
    ends_at: datetime
    unit: Unit
    granted: int
    used: int
    rolled_over: int
    expired: int
    overage_nano: int
    calls: int


class Page:
    """An account's row, grants and budgets as locked, and what has been posted since; saved as a whole."""

    __slots__ = (
        "_balances",
        "_has_units",
        "account",
        "accruals",
        "applied",
        "budgets",
        "closed",
        "grants",
        "moved",
        "new_grants",
        "now",
        "plan",
        "transfers",
    )

    def __init__(
        self, account: Account, grants: Iterable[Grant], *, now: datetime, budgets: Iterable[BudgetAccount] = ()
    ) -> None:
        self.account = account
        self.grants = list(grants)
        if len(self.grants) > 1:
            self.grants.sort(key=burn_order)
        self.now = now
        self.budgets = list(budgets)
        self.plan: PlanPublished | None = None
        self.transfers: list[Transfer] = []
        self.new_grants: list[Grant] = []
        self.moved: dict[UUID, Grant] = {}
        self.applied: list[UUID] = []
        self.accruals: dict[AccrualKey, Accrual] = {}
        self.closed: list[ClosedPeriod] = []
        self._has_units = False
        # In the order in which an account's row has what they were armed with.
        self._balances = {_CREDIT: -account.debt_nano, _TOKEN: 0, _REQUEST: 0}
        for grant in self.grants:
            self._noticed(grant)

    def available_nano(self, at: datetime | None = None) -> int:
        """Credits that may be used at an instant, holds aside."""
        return self.available(Unit.CREDIT, at)

    def available(self, unit: Unit, at: datetime | None = None) -> int:
        """What may be used of a unit at an instant, holds aside."""
        at = at or self.now
        return sum(grant.remaining for grant in self.grants if grant.unit is unit and grant.valid_at(at))

    def grant(self, grant_id: UUID) -> Grant | None:
        return next((grant for grant in self.grants if grant.id == grant_id), None)

    def add(self, grants: Iterable[Grant]) -> None:
        """Grants that were read later under the same lock."""
        known = {grant.id for grant in self.grants}
        for grant in grants:
            if grant.id not in known:
                self.grants.append(grant)
                self._noticed(grant)
        self.grants.sort(key=burn_order)

    def open_grant(
        self,
        grant: Grant,
        *,
        source: str,
        kind: TransferKind,
        reference: str | None = None,
        charge_id: UUID | None = None,
        arms: bool = True,
    ) -> None:
        """Fund a new grant; recorded debt is paid out of it first, then it arms its unit's thresholds anew.

        One that `arms` nothing is given ahead, or gives back: it pays debt once it may be used.
        """
        self.grants.append(grant)
        self.grants.sort(key=burn_order)
        self.new_grants.append(grant)
        self._noticed(grant)
        target, amount = grant.ledger_account, grant.amount
        self.record(source, target, amount, kind=kind, grant=grant, reference=reference, charge_id=charge_id)
        if arms or grant.valid_at(self.now):
            self.repay_debt(grant, reference=reference)
        if arms:
            self.arm(grant.unit, max(self.now, grant.starts_at))

    def arm(self, unit: Unit, at: datetime) -> None:
        """Measure a unit's thresholds anew, against what may be used of it at an instant."""
        account, base = self.account, self.available(unit, at)
        account.arming += 1
        if unit is Unit.CREDIT:
            account.armed_base = base
        elif unit is Unit.TOKEN:
            account.armed_tokens = base
        else:
            account.armed_requests = base
        account.crossed = [key for key in account.crossed if not thresholds.of_unit(key, unit)]

    def repay_debt(self, grant: Grant, *, reference: str | None) -> None:
        """Debt is paid by the next credits, whenever they may be used."""
        repaid = min(self.account.debt_nano, grant.remaining) if grant.unit is Unit.CREDIT else 0
        if repaid:
            self.account.debt_nano -= repaid
            grant.remaining -= repaid
            self.moved[grant.id] = grant
            # The debt goes down by what the grant gives up, so the balance stays, unless the grant is not usable yet.
            self._balances[Unit.CREDIT] += 0 if grant.valid_at(self.now) else repaid
            debt, kind = debt_account(self.account.id), TransferKind.DEBT_REPAYMENT
            self.record(grant.ledger_account, debt, repaid, kind=kind, grant=grant, reference=reference)

    def withdraw(
        self,
        grant: Grant,
        amount: int,
        *,
        target: str,
        kind: TransferKind,
        reference: str | None = None,
        charge_id: UUID | None = None,
        effective_at: datetime | None = None,
    ) -> None:
        """Move an amount out of a grant."""
        grant.remaining -= amount
        self.moved[grant.id] = grant
        if grant.valid_at(self.now):
            self._balances[grant.unit] -= amount
        self.record(
            grant.ledger_account,
            target,
            amount,
            kind=kind,
            grant=grant,
            reference=reference,
            charge_id=charge_id,
            effective_at=effective_at,
        )

    def deposit(
        self,
        grant: Grant,
        amount: int,
        *,
        source: str,
        kind: TransferKind,
        reference: str | None = None,
        charge_id: UUID | None = None,
        effective_at: datetime | None = None,
    ) -> None:
        """Move an amount back into a grant."""
        grant.remaining += amount
        self.moved[grant.id] = grant
        if grant.valid_at(self.now):
            self._balances[grant.unit] += amount
        self.record(
            source,
            grant.ledger_account,
            amount,
            kind=kind,
            grant=grant,
            reference=reference,
            charge_id=charge_id,
            effective_at=effective_at,
        )

    def owe(
        self,
        amount: int,
        *,
        target: str,
        kind: TransferKind,
        reference: str | None = None,
        charge_id: UUID | None = None,
        effective_at: datetime | None = None,
    ) -> None:
        """What no grant covers becomes debt."""
        self.account.debt_nano += amount
        self._balances[Unit.CREDIT] -= amount
        self.record(
            debt_account(self.account.id),
            target,
            amount,
            kind=kind,
            reference=reference,
            charge_id=charge_id,
            effective_at=effective_at,
        )

    def forgive(
        self,
        amount: int,
        *,
        source: str,
        kind: TransferKind,
        reference: str | None = None,
        charge_id: UUID | None = None,
    ) -> None:
        """Take back debt."""
        self.account.debt_nano -= amount
        self._balances[Unit.CREDIT] += amount
        debt = debt_account(self.account.id)
        self.record(source, debt, amount, kind=kind, reference=reference, charge_id=charge_id)

    def record(  # noqa: PLR0913  # the one door to the books; it names all that a row says
        self,
        source: str,
        target: str,
        amount: int,
        *,
        kind: TransferKind,
        grant: Grant | None = None,
        unit: Unit = Unit.CREDIT,
        reference: str | None = None,
        charge_id: UUID | None = None,
        effective_at: datetime | None = None,
    ) -> None:
        """Post one movement under the next number of the account's chain."""
        account = self.account
        account.transfer_seq += 1
        if grant is not None:
            unit = grant.unit
        self.transfers.append(
            Transfer(
                account.id,
                account.transfer_seq,
                source,
                target,
                unit,
                amount,
                kind,
                charge_id,
                grant.id if grant else None,
                reference,
                None if kind in PLATFORM_KINDS else self._balances[unit],
                self.now,
                effective_at or self.now,
            )
        )

    def _noticed(self, grant: Grant) -> None:
        if grant.valid_at(self.now):
            self._balances[grant.unit] += grant.remaining
        if grant.unit is not _CREDIT:
            self._has_units = True
        if grant.rolled and grant.heir is None:
            rule, start = grant.base_rule + ROLLED, grant.expires_at
            grant.heir = next((one for one in self.grants if one.rule == rule and one.starts_at == start), None)

"""How a call is paid: as allocated, then as was valid at its admission, then as is today (money.md 9, 20, 21)."""

from typing import Final

from contracts.money import Unit
from ledger.domain.grants import Grant
from ledger.domain.overage import Accrual, AccrualKey, hour_of
from ledger.domain.page import Page
from ledger.domain.pricing import RatedCall
from ledger.domain.transfers import (
    BREAKAGE,
    GOODWILL,
    PROVIDER,
    Transfer,
    TransferKind,
    cost_account,
    receivable_account,
    revenue_account,
    used_account,
)
from rating.burning import Burn, Room, Value, burn, ceil_of

NOWHERE: Final = "no-plan"
_transfer: Final = tuple.__new__
"""What `Transfer._make` comes to, without its checks."""


class Charging(Page):
    """The side of a page that calls burn."""

    __slots__ = ()

    def charge(self, call: RatedCall) -> tuple[int, int]:
        """Burn a call's price and book its cost beside it; the call's transfers are the sequence numbers returned."""
        first, event = self.account.transfer_seq + 1, call.event
        if call.value_nano:
            tokens = self._pay(call)
            if self.account.period_end is not None:
                self._count(call, tokens)
            for budget in self.budgets:
                if budget.covers(event):
                    budget.spend(call.value_nano, admitted_at=event.admitted_at)
        if call.cost_nano:
            # What is not charged is ours to bear: its cost is goodwill, not the model's.
            paid = call.price_nano or call.plan_tokens or call.plan_requests
            self._book_cost(cost_account(call.model) if paid else GOODWILL, call)
        self.applied.append(event.id)
        return first, self.account.transfer_seq

    def reverse_orphan_cost(self, call: RatedCall, cost_nano: int) -> None:
        """The call that was given up ended after all: its cost is no goodwill."""
        if cost_nano:
            kind, at = TransferKind.COST_REVERSAL, call.event.admitted_at
            self.record(PROVIDER, GOODWILL, cost_nano, kind=kind, charge_id=call.event.id, effective_at=at)

    def _book_cost(self, source: str, call: RatedCall) -> None:
        account, event = self.account, call.event
        account.transfer_seq = seq = account.transfer_seq + 1
        cost_nano, unit, kind, at = call.cost_nano, Unit.CREDIT, TransferKind.COST, event.admitted_at
        row = (account.id, seq, source, PROVIDER, unit, cost_nano, kind, event.id, None, None, None, self.now, at)
        self.transfers.append(_transfer(Transfer, row))

    def _pay(self, call: RatedCall) -> int:
        """Returns the plan tokens that the call counts, where anything counts them."""
        if self._has_units or call.terms.counts_tokens or call.terms.overage_policy != "block":
            return self._pay_in_units(call)
        left = self._take_allocated(Unit.CREDIT, call.value_nano, call) if call.event.allocation else call.value_nano
        if left:
            left = self._take_in_order(Unit.CREDIT, left, call)
        if left:
            self._borrow(left, call)
        return 0

    def _pay_in_units(self, call: RatedCall) -> int:
        terms, price_nano = call.terms, call.value_nano
        tokens = call.counted_tokens()
        whole_nano = terms.overage_nano(tokens=tokens, price_nano=price_nano) if terms.overage_policy == "bill" else 0
        value, unpaid_nano, call.price_nano = Value(tokens, price_nano, whole_nano), price_nano, 0
        if call.event.allocation:
            burnt = burn(value, self._allocated(call), request_max_price_nano=terms.request_max_price_nano)
            self._post(burnt, call, is_allocated=True)
            value, unpaid_nano = rest_of(value, burnt), burnt.unpaid_nano
        if unpaid_nano:
            burnt = burn(value, self._room(call), request_max_price_nano=terms.request_max_price_nano)
            self._post(burnt, call, is_allocated=False)
            unpaid_nano = burnt.unpaid_nano
        if unpaid_nano and terms.overage_policy != "warn":
            call.price_nano += unpaid_nano
            self._borrow(unpaid_nano, call)
        return tokens

    def _allocated(self, call: RatedCall) -> Room:
        """What was held for the call: its slices of grants, and of overage where they are no grant's."""
        rooms = {Unit.CREDIT: 0, Unit.TOKEN: 0, Unit.REQUEST: 0}
        overage_nano = 0
        for part in call.event.allocation:
            grant = self.grant(part.slice_id)
            if grant is not None and grant.unit is part.unit:
                rooms[part.unit] += min(part.amount, _room_of(grant, call))
            elif grant is None and part.unit is Unit.CREDIT and call.terms.overage_policy == "bill":
                overage_nano += part.amount
        return Room(rooms[Unit.REQUEST], rooms[Unit.TOKEN], rooms[Unit.CREDIT], overage_nano)

    def _room(self, call: RatedCall) -> Room:
        rooms = {Unit.CREDIT: 0, Unit.TOKEN: 0, Unit.REQUEST: 0}
        at = call.event.admitted_at
        for grant in self.grants:
            if grant.valid_at(at):
                # What an heir carries on counts where the heir does.
                rooms[grant.unit] += grant.remaining + grant.expired
            elif grant.valid_at(self.now):
                rooms[grant.unit] += grant.remaining
        overage_nano = call.terms.overage_room(self.account)
        return Room(rooms[Unit.REQUEST], rooms[Unit.TOKEN], rooms[Unit.CREDIT], overage_nano)

    def _post(self, burnt: Burn, call: RatedCall, *, is_allocated: bool) -> None:
        take = self._take_allocated if is_allocated else self._take_in_order
        if burnt.requests:
            call.plan_requests += burnt.requests - take(Unit.REQUEST, burnt.requests, call)
        if burnt.tokens:
            call.plan_tokens += burnt.tokens - take(Unit.TOKEN, burnt.tokens, call)
        if burnt.credit_nano:
            left = take(Unit.CREDIT, burnt.credit_nano, call)
            call.price_nano += burnt.credit_nano
            if left:
                self._borrow(left, call)
        if burnt.overage_nano:
            self._accrue(burnt.overage_nano, call)

    def _take_allocated(self, unit: Unit, left: int, call: RatedCall) -> int:
        for part in call.event.allocation:
            if part.unit is unit and left:
                grant = self.grant(part.slice_id)
                if grant is not None and grant.unit is unit:
                    left -= self._burn(grant, min(left, part.amount), call)
        return left

    def _take_in_order(self, unit: Unit, left: int, call: RatedCall) -> int:
        at, late = call.event.admitted_at, []
        for grant in self.grants:
            if grant.unit is unit:
                if grant.valid_at(at):
                    left -= self._burn(grant, left, call)
                    if not left:
                        return 0
                elif grant.remaining and grant.valid_at(self.now):
                    late.append(grant)
        for grant in late:
            left -= self._burn(grant, left, call)
        return left

    def _burn(self, grant: Grant, most: int, call: RatedCall) -> int:
        """Take what the grant has of that, booking back what expired or moved on before the call came to be known."""
        amount = min(most, _room_of(grant, call))
        if amount <= 0:
            return 0
        if amount > grant.remaining:
            self._revive(grant, amount - grant.remaining, reference=f"call:{call.event.id}")
        before, grant.burnt = grant.burnt, grant.burnt + amount
        if grant.paid_minor:
            call.recognised_nano += grant.recognised_nano(grant.burnt) - grant.recognised_nano(before)
        unit, event, account, now = grant.unit, call.event, self.account, self.now
        target = revenue_account(call.model) if unit is Unit.CREDIT else used_account(call.model)
        grant.remaining -= amount
        self.moved[grant.id] = grant
        balances = self._balances
        if grant.valid_at(now):
            balances[unit] -= amount
        account.transfer_seq = seq = account.transfer_seq + 1
        # As `withdraw` would post it, without its detours: most of what a batch costs is here.
        kind, source, at = TransferKind.DEDUCTION, grant.ledger_account, event.admitted_at
        row = (account.id, seq, source, target, unit, amount, kind, event.id, grant.id, None, balances[unit], now, at)
        self.transfers.append(_transfer(Transfer, row))
        return amount

    def _revive(self, grant: Grant, amount: int, *, reference: str) -> None:
        """Book an expiry back, then a roll-over as far as it is not used (money.md 21)."""
        expired = min(amount, grant.expired)
        if expired:
            grant.expired -= expired
            self.deposit(grant, expired, source=BREAKAGE, kind=TransferKind.EXPIRY_REVERSAL, reference=reference)
        rolled, heir = amount - expired, grant.heir
        if rolled and heir is not None:
            grant.rolled -= rolled
            kind = TransferKind.ROLL_OVER_REVERSAL
            self.withdraw(heir, rolled, target=grant.ledger_account, kind=kind, reference=reference)
            grant.remaining += rolled
            self.moved[grant.id] = grant

    def _borrow(self, amount: int, call: RatedCall) -> None:
        event = call.event
        call.recognised_nano += amount
        self.owe(
            amount,
            target=revenue_account(call.model),
            kind=TransferKind.DEDUCTION,
            charge_id=event.id,
            effective_at=event.admitted_at,
        )

    def _accrue(self, amount: int, call: RatedCall) -> None:
        """Overage is revenue now and is collected later; late overage bills now, with its call as the reference."""
        account, event, terms = self.account, call.event, call.terms
        is_late = account.period_start is not None and event.admitted_at < account.period_start
        hour = hour_of(self.now if is_late else event.admitted_at)
        key = AccrualKey(event.plan_id or NOWHERE, event.plan_version or 0, hour, is_late)
        accrual = self.accruals.setdefault(key, Accrual(terms.collect, terms.nano_per_1k_tokens))
        accrual.amount_nano += amount
        account.period_overage_nano += amount
        call.overage_nano += amount
        call.price_nano += amount
        call.recognised_nano += amount
        self.record(
            receivable_account(account.id),
            revenue_account(call.model),
            amount,
            kind=TransferKind.DEDUCTION,
            charge_id=event.id,
            reference="late" if is_late else None,
            effective_at=event.admitted_at,
        )

    def _count(self, call: RatedCall, tokens: int) -> None:
        """Soft limits count the running period; a call that comes late counts where it is booked."""
        account = self.account
        account.period_calls += 1
        account.period_tokens += tokens
        account.period_value_nano += call.value_nano


def rest_of(value: Value, burnt: Burn) -> Value:
    """What of a call one payment has left for the next: its share of tokens, price and overage price."""
    if not (burnt.requests or burnt.tokens or burnt.credit_nano or burnt.overage_nano):
        return value
    unpaid_nano = burnt.unpaid_nano
    tokens = 0 if burnt.requests else value.tokens - burnt.tokens
    if tokens:
        due_nano = ceil_of(value.price_nano, tokens, value.tokens)
        tokens = ceil_of(tokens, unpaid_nano, due_nano)
    return Value(tokens, unpaid_nano, ceil_of(value.overage_nano, unpaid_nano, value.price_nano), 0)


def _room_of(grant: Grant, call: RatedCall) -> int:
    if not grant.expired and not grant.rolled:
        return grant.remaining
    if grant.valid_at(call.event.admitted_at):
        return grant.remaining + grant.revivable
    return grant.remaining

"""A second ledger, written to be read: one thing after the other, in plain Python.

It knows the rules of money.md and docs/periods.md and the price data, and none of the ledger's code.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from uuid import UUID

from ledger.simulation import steps
from ledger.simulation.slow_books import RETURNED, Paid, Party, Pot
from ledger.simulation.slow_calls import SlowCalls


@dataclass
class Reversed:
    """A refund or dispute, and what it took."""

    payment_id: str
    kind: steps.ReversalKind
    minor: int
    taken: int = 0
    owed: int = 0


class Reference(SlowCalls):
    """Told every step, it holds what the books must hold."""

    def __init__(self, plans: dict[str, steps.Plan]) -> None:
        super().__init__(plans)
        self.payments: dict[str, Paid] = {}
        self.periods_paid: set[tuple[UUID, str | None, datetime, datetime]] = set()
        self.reversals: dict[str, Reversed] = {}

    def follow(self, step: steps.Step) -> None:
        self.now = step.at
        calls = [one for one in step.happenings if isinstance(one, steps.Call)]
        for one in step.happenings:
            if not isinstance(one, steps.Call):
                self._happen(one)
        # Of the same call, the real end stands before a report that nobody heard of it.
        for call in sorted(calls, key=lambda call: (call.call_id.int, call.outcome == "orphaned")):
            self.call(call)

    def _happen(self, one: steps.Happening) -> None:
        match one:
            case steps.PriceBook():
                self.prices[one.version] = one.rates
            case steps.SignUp():
                self.sign_up(one)
            case steps.Subscription():
                self.subscribe(one)
            case steps.Settings():
                self.set_terms(one)
            case steps.Settle():
                for account in self.parties:
                    self.settle(account)
            case steps.Rerating():
                self.rerate(one)
            case steps.CallRefund():
                self.refund_call(one)
            case _:
                self._move_money(one)

    def _move_money(self, one: steps.Happening) -> None:
        match one:
            case steps.Payment():
                self._pay(one)
            case steps.Reversal():
                self._reverse(one)
            case steps.Adjustment():
                self._adjust(one)

    # Money in

    def _pay(self, one: steps.Payment) -> None:
        if one.payment_id in self.payments:
            return
        pot: Pot | None = None
        if one.period is None:
            ends = None if one.valid_days is None else self.now + timedelta(days=one.valid_days)
            pot = Pot("bundle", one.unit, one.amount, 200, self.now, ends, self.now, paid=one.paid_minor)
        elif (one.account, one.plan_id, *one.period) not in self.periods_paid:
            self.periods_paid.add((one.account, one.plan_id, *one.period))
            rule = f"subscription:{one.plan_id}"
            pot = Pot("plan", one.unit, one.amount, 100, *one.period, self.now, rule, one.paid_minor)
        self.payments[one.payment_id] = Paid(pot, one.amount, one.paid_minor)
        if pot is not None:
            self.open(self.settle(one.account), pot, "stripe_clearing")

    # Money back

    def _reverse(self, one: steps.Reversal) -> None:
        pot, known = self.payments[one.payment_id].pot, self.reversals.get(one.reversal_id)
        if known is None:
            self.reversals[one.reversal_id] = self._take(self.settle(one.account), one)
            return
        if known.kind != "dispute_opened" or one.kind not in ("dispute_won", "dispute_lost"):
            return
        party, known.kind = self.settle(one.account), one.kind
        if pot is not None and one.kind == "dispute_won":
            self._give_back(party, pot, known)
        elif pot is not None:
            self.move("disputes_held", "stripe_clearing", known.taken, pot.unit)
            self.move("disputes_held", "stripe_clearing", known.owed)

    def _take(self, party: Party, one: steps.Reversal) -> Reversed:
        payment, made = self.payments[one.payment_id], Reversed(one.payment_id, one.kind, one.minor)
        pot = payment.pot
        if pot is None or one.kind == "dispute_won":
            return made
        share = self._share(one, payment)
        # What time took was not spent: it comes back first.
        unspent = min(share - pot.left, self.revivable(pot))
        if unspent > 0:
            self.revive(pot, unspent)
        made.taken = min(pot.left, share)
        # Only credits can be owed.
        made.owed = share - made.taken if pot.unit == "credit" else 0
        pot.left -= made.taken
        target = "disputes_held" if one.kind == "dispute_opened" else "stripe_clearing"
        self.move("customers", target, made.taken, pot.unit)
        self.owe(party, made.owed, target)
        return made

    def _share(self, one: steps.Reversal, payment: Paid) -> int:
        standing = [
            known
            for known in self.reversals.values()
            if known.payment_id == one.payment_id and known.kind != "dispute_won"
        ]
        back = min(payment.paid, one.minor + sum(known.minor for known in standing))
        already = sum(known.taken + known.owed for known in standing)
        return max(0, int(Fraction(payment.amount * back, payment.paid)) - already)

    def _give_back(self, party: Party, pot: Pot, known: Reversed) -> None:
        whole = known.taken + known.owed
        if not pot.is_over(self.now):
            forgiven = min(known.owed, party.debt)
            party.debt -= forgiven
            self.move("disputes_held", "debts", forgiven)
            pot.left += whole - forgiven
            self.move("disputes_held", "customers", whole - forgiven, pot.unit)
        elif whole:
            anew = Pot("adjustment", pot.unit, whole, 150, self.now, self.now + RETURNED, self.now)
            self.open(party, anew, "disputes_held")

    def _adjust(self, one: steps.Adjustment) -> None:
        party = self.settle(one.account)
        if one.amount > 0:
            ends = None if one.days is None else self.now + timedelta(days=one.days)
            self.open(party, Pot("adjustment", "credit", one.amount, 150, self.now, ends, self.now), "adjustments")
            return
        left = -one.amount
        for pot in self.in_order(party, "credit", self.now):
            part = min(left, pot.left)
            pot.left, left = pot.left - part, left - part
            self.move("customers", "adjustments", part)
        self.owe(party, left, "adjustments")

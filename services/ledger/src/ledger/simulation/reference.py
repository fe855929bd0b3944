"""A second ledger, written to be read: lists, dictionaries and fractions, one thing after the other, nothing shared.

It knows the rules of money.md and the price data, and none of the ledger's code.
"""

import calendar
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import ceil
from typing import Any
from uuid import UUID

from ledger.simulation import steps

RETURNED_DAYS = 30


@dataclass
class Pot:
    """A grant. `expired` and `rolled` are what time took of it, and can still be booked back for late calls."""

    source: str
    unit: str
    amount: int
    priority: int
    starts: datetime
    ends: datetime | None
    created: datetime
    left: int = 0
    burnt: int = 0
    expired: int = 0
    rolled: int = 0
    heir: "Pot | None" = None
    is_carried: bool = False

    def covers(self, instant: datetime) -> bool:
        return self.starts <= instant and (self.ends is None or instant < self.ends)

    def row(self) -> tuple[Any, ...]:
        return (self.source, self.unit, self.amount, self.starts, self.ends, self.created, self.left, self.burnt)


@dataclass
class Paid:
    """A payment: what it gave, how much of it, for how many cents."""

    pot: Pot | None
    amount: int
    paid: int


@dataclass
class Party:
    """An account."""

    anchor: datetime
    pots: list[Pot] = field(default_factory=list)
    debt: int = 0
    month: int = 0
    """The number of the running period."""


class Reference:
    """Told every step, it holds what the books must hold."""

    def __init__(self, terms: steps.Terms) -> None:
        self.terms = terms
        self.books: dict[tuple[str, str], int] = defaultdict(int)
        self.parties: dict[UUID, Party] = {}
        self.prices: dict[int, dict[str, tuple[int, int]]] = {}
        self.calls: dict[UUID, tuple[str, int, int]] = {}
        self.payments: dict[str, Paid] = {}
        self.periods_paid: set[tuple[UUID, datetime, datetime]] = set()
        self.reversals: dict[str, dict[str, Any]] = {}
        self.now = datetime.min.replace(tzinfo=UTC)

    def follow(self, step: steps.Step) -> None:
        self.now = step.at
        calls = [one for one in step.happenings if isinstance(one, steps.Call)]
        for one in step.happenings:
            if not isinstance(one, steps.Call):
                self._happen(one)
        # Of the same call, the real end stands before a report that nobody heard of it.
        for call in sorted(calls, key=lambda call: (call.call_id.int, call.outcome == "orphaned")):
            self._call(call)

    def _happen(self, one: steps.Happening) -> None:
        match one:
            case steps.PriceBook():
                self.prices[one.version] = one.rates
            case steps.SignUp():
                self._sign_up(one)
            case steps.Payment():
                self._pay(one)
            case steps.Reversal():
                self._reverse(one)
            case steps.Adjustment():
                self._adjust(one)
            case steps.Settle():
                for account in self.parties:
                    self._settle(account)
            case steps.Call():
                self._call(one)

    def _move(self, source: str, target: str, amount: int, unit: str = "credit") -> None:
        self.books[source, unit] -= amount
        self.books[target, unit] += amount

    # Time

    def _start_of(self, party: Party, number: int) -> datetime:
        year, month = divmod(party.anchor.year * 12 + party.anchor.month - 1 + number, 12)
        day = min(party.anchor.day, calendar.monthrange(year, month + 1)[1])
        return party.anchor.replace(year=year, month=month + 1, day=day)

    def _settle(self, account: UUID) -> Party:
        party = self.parties[account]
        while (end := self._start_of(party, party.month + 1)) <= self.now:
            self._carry_on(party, end)
            self._expire(party, end)
            party.month += 1
            self._give_month(party, party.month + 1)
        self._expire(party, self.now)
        return party

    def _carry_on(self, party: Party, end: datetime) -> None:
        ending = [pot for pot in party.pots if pot.source == "plan" and pot.unit == "token" and pot.ends == end]
        carried = min(self.terms.roll_over_cap, sum(pot.left for pot in ending))
        if not carried:
            return
        until = self._start_of(party, party.month + 2)
        heir = Pot("plan", "token", carried, 100, end, until, self.now, carried, is_carried=True)
        party.pots.append(heir)
        for pot in sorted(ending, key=lambda pot: pot.is_carried):
            moved = min(carried, pot.left)
            pot.left, pot.rolled, carried = pot.left - moved, pot.rolled + moved, carried - moved
            pot.heir = heir if moved else pot.heir

    def _expire(self, party: Party, until: datetime) -> None:
        for pot in party.pots:
            if pot.ends is not None and pot.ends <= until and pot.left:
                self._move("customers", "breakage", pot.left, pot.unit)
                pot.expired, pot.left = pot.expired + pot.left, 0

    def _give_month(self, party: Party, number: int) -> None:
        starts, ends = self._start_of(party, number), self._start_of(party, number + 1)
        self._open(party, Pot("plan", "token", self.terms.monthly_tokens, 100, starts, ends, self.now), "plan")

    # Money in

    def _open(self, party: Party, pot: Pot, source: str) -> None:
        pot.left = pot.amount
        party.pots.append(pot)
        self._move(source, "customers", pot.amount, pot.unit)
        if pot.unit == "credit":
            repaid = min(party.debt, pot.left)
            party.debt, pot.left = party.debt - repaid, pot.left - repaid
            self._move("customers", "debts", repaid)

    def _sign_up(self, one: steps.SignUp) -> None:
        if one.account in self.parties:
            return
        party = self.parties[one.account] = Party(self.now)
        self._give_month(party, 0)
        self._give_month(party, 1)
        ends = self.now + timedelta(days=self.terms.trial_days)
        self._open(party, Pot("trial", "credit", self.terms.trial_nano, 50, self.now, ends, self.now), "trial")

    def _pay(self, one: steps.Payment) -> None:
        party = self._settle(one.account)
        if one.payment_id in self.payments:
            return
        pot: Pot | None
        if one.period is None:
            ends = None if one.valid_days is None else self.now + timedelta(days=one.valid_days)
            pot = Pot("bundle", "credit", one.amount, 200, self.now, ends, self.now)
        elif (one.account, *one.period) in self.periods_paid:
            pot = None
        else:
            self.periods_paid.add((one.account, *one.period))
            pot = Pot("plan", "credit", one.amount, 100, *one.period, self.now)
        self.payments[one.payment_id] = Paid(pot, one.amount, one.paid_minor)
        if pot is not None:
            self._open(party, pot, "stripe_clearing")

    # Money back

    def _reverse(self, one: steps.Reversal) -> None:
        party = self._settle(one.account)
        pot = self.payments[one.payment_id].pot
        known = self.reversals.get(one.reversal_id)
        if known is None:
            self.reversals[one.reversal_id] = self._take(party, one)
        elif known["kind"] == "dispute_opened" and one.kind in ("dispute_won", "dispute_lost"):
            known["kind"] = one.kind
            if pot is not None and one.kind == "dispute_won":
                self._give_back(party, pot, known["taken"], known["owed"])
            elif one.kind == "dispute_lost":
                self._move("disputes_held", "stripe_clearing", known["taken"] + known["owed"])

    def _take(self, party: Party, one: steps.Reversal) -> dict[str, Any]:
        payment = self.payments[one.payment_id]
        pot, paid = payment.pot, payment.paid
        standing = [
            known
            for known in self.reversals.values()
            if known["payment"] == one.payment_id and known["kind"] != "dispute_won"
        ]
        taken = owed = 0
        if pot is not None and one.kind != "dispute_won":
            back = min(paid, one.minor + sum(known["minor"] for known in standing))
            already = sum(known["taken"] + known["owed"] for known in standing)
            share = max(0, int(Fraction(payment.amount * back, paid)) - already)
            taken = min(pot.left, share)
            owed = share - taken
            pot.left -= taken
            party.debt += owed
            target = "disputes_held" if one.kind == "dispute_opened" else "stripe_clearing"
            self._move("customers", target, taken)
            self._move("debts", target, owed)
        return {"payment": one.payment_id, "kind": one.kind, "minor": one.minor, "taken": taken, "owed": owed}

    def _give_back(self, party: Party, pot: Pot, taken: int, owed: int) -> None:
        if pot.ends is None or self.now < pot.ends:
            forgiven = min(owed, party.debt)
            party.debt -= forgiven
            self._move("disputes_held", "debts", forgiven)
            pot.left += taken + owed - forgiven
            self._move("disputes_held", "customers", taken + owed - forgiven)
        elif taken + owed:
            ends = self.now + timedelta(days=RETURNED_DAYS)
            anew = Pot("adjustment", "credit", taken + owed, 150, self.now, ends, self.now)
            self._open(party, anew, "disputes_held")

    def _adjust(self, one: steps.Adjustment) -> None:
        party = self._settle(one.account)
        if one.amount > 0:
            ends = None if one.days is None else self.now + timedelta(days=one.days)
            self._open(party, Pot("adjustment", "credit", one.amount, 150, self.now, ends, self.now), "adjustments")
            return
        left = -one.amount
        for pot in self._in_order(party, "credit", self.now):
            part = min(left, pot.left)
            pot.left, left = pot.left - part, left - part
            self._move("customers", "adjustments", part)
        party.debt += left
        self._move("debts", "adjustments", left)

    # Calls

    def _call(self, call: steps.Call) -> None:
        party = self._settle(call.account)
        known = self.calls.get(call.call_id)
        if known is not None and (known[0] != "orphaned" or call.outcome == "orphaned"):
            return
        price, cost = self._price(call)
        self.calls[call.call_id] = (call.outcome, price, cost)
        if price:
            self._charge(party, call, price)
        if cost:
            self._move(f"cost:{call.model}" if price else "goodwill", "provider", cost)

    def _price(self, call: steps.Call) -> tuple[int, int]:
        if call.outcome == "orphaned":
            return 0, 0
        into, out = self.prices[call.version][call.model]
        cost = Fraction(call.input_tokens * into + call.output_tokens * out)
        price = ceil(cost * (10_000 + call.markup_bps) / 10_000)
        return (0 if call.outcome == "refused" and not call.output_tokens else price), ceil(cost)

    def _charge(self, party: Party, call: steps.Call, price: int) -> None:
        tokens = call.input_tokens + call.output_tokens
        room = sum(
            pot.left + (pot.expired if pot.covers(call.admitted_at) else 0)
            for pot in self._in_order(party, "token", call.admitted_at)
        )
        covered = min(tokens, room)
        self._burn(party, call, covered, unit="token", target=f"used:{call.model}")
        due = ceil(Fraction(price * (tokens - covered), tokens))
        owed = self._burn(party, call, due, unit="credit", target=f"revenue:{call.model}")
        party.debt += owed
        self._move("debts", f"revenue:{call.model}", owed)

    def _burn(self, party: Party, call: steps.Call, amount: int, *, unit: str, target: str) -> int:
        """What nothing covers."""
        for pot in self._in_order(party, unit, call.admitted_at):
            part = min(amount, pot.left + (self._revivable(pot) if pot.covers(call.admitted_at) else 0))
            if part > pot.left:
                self._revive(pot, part - pot.left)
            pot.left, pot.burnt, amount = pot.left - part, pot.burnt + part, amount - part
            self._move("customers", target, part, unit)
        return amount

    def _revivable(self, pot: Pot) -> int:
        return pot.expired + (min(pot.rolled, pot.heir.left) if pot.heir else 0)

    def _revive(self, pot: Pot, amount: int) -> None:
        expired = min(amount, pot.expired)
        self._move("breakage", "customers", expired, pot.unit)
        pot.expired, pot.left = pot.expired - expired, pot.left + expired
        if pot.heir is not None:
            rolled = amount - expired
            pot.rolled, pot.heir.left, pot.left = pot.rolled - rolled, pot.heir.left - rolled, pot.left + rolled

    def _in_order(self, party: Party, unit: str, admitted_at: datetime) -> list[Pot]:
        """Valid at admission first, then those of today; in each by priority, end, creation."""
        pots = [pot for pot in party.pots if pot.unit == unit and (pot.covers(admitted_at) or pot.covers(self.now))]
        forever = datetime.max.replace(tzinfo=self.now.tzinfo)
        return sorted(
            pots, key=lambda pot: (not pot.covers(admitted_at), pot.priority, pot.ends or forever, pot.created)
        )

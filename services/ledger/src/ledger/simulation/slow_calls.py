"""How the reference charges calls, rates them again and gives them back."""

from datetime import UTC
from fractions import Fraction
from math import ceil
from typing import NamedTuple
from uuid import UUID

from ledger.simulation import steps
from ledger.simulation.slow_books import NANO_PER_CENT, RETURNED, Booked, Party, Pot, Source
from ledger.simulation.slow_periods import SlowPeriods


class Parts(NamedTuple):
    """What pays a call; `unpaid` is what nothing does."""

    requests: int
    tokens: int
    credit: int
    overage: int
    unpaid: int


class SlowCalls(SlowPeriods):
    """Calls."""

    def __init__(self, plans: dict[str, steps.Plan]) -> None:
        super().__init__(plans)
        self.prices: dict[int, dict[str, tuple[int, int]]] = {}
        self.calls: dict[UUID, Booked] = {}

    def call(self, call: steps.Call) -> None:
        party = self.settle(call.account)
        known = self.calls.get(call.call_id)
        if known is not None and (known.call.outcome != "orphaned" or call.outcome == "orphaned"):
            return
        booked = self.calls[call.call_id] = Booked(call)
        value, booked.cost = self.price(call, call.version)
        revenue = self._charge(party, booked, value) if value else 0
        if booked.cost:
            self.move(self._bearer(booked), "provider", booked.cost)
        figures = (0 if known else 1, booked.price, booked.cost, booked.tokens, booked.requests, booked.overage)
        self._count(call, *figures, revenue)

    def price(self, call: steps.Call, version: int) -> tuple[int, int]:
        if call.outcome == "orphaned":
            return 0, 0
        into, out = self.prices[version][call.model]
        cost = Fraction(call.input_tokens * into + call.output_tokens * out)
        price = ceil(cost * (10_000 + call.markup_bps) / 10_000)
        return (0 if call.outcome == "refused" and not call.output_tokens else price), ceil(cost)

    def tokens(self, call: steps.Call) -> int:
        """What it takes of an allowance in tokens."""
        weighted = 100 * call.input_tokens + self.plans[call.plan_id].output_hundredths * call.output_tokens
        return max(ceil(Fraction(weighted, 100)), min(1, call.input_tokens + call.output_tokens))

    def _count(self, call: steps.Call, *figures: int) -> None:
        day = self.days[call.account, call.admitted_at.astimezone(UTC).date().isoformat(), call.plan_id, call.model]
        for place, figure in enumerate(figures):
            day[place] += figure

    def _bearer(self, booked: Booked) -> str:
        """What nobody pays for is ours to bear."""
        return f"cost:{booked.call.model}" if booked.price or booked.tokens or booked.requests else "goodwill"

    def _charge(self, party: Party, booked: Booked, value: int) -> int:
        """Requests, tokens, credits, overage, debt; the revenue."""
        call, plan = booked.call, self.plans[booked.call.plan_id]
        room = {unit: self._room(party, unit, call) for unit in ("request", "token", "credit")}
        parts = self.split(call, value, {**room, "overage": self._overage_room(party, plan)})
        booked.tokens, booked.requests, booked.overage = parts.tokens, parts.requests, parts.overage
        revenue = 0
        for unit, amount in (("request", parts.requests), ("token", parts.tokens), ("credit", parts.credit)):
            revenue += self._burn(party, booked, amount, unit)
        if parts.overage:
            self.move(f"receivable:{party.account}", f"revenue:{call.model}", parts.overage)
            booked.burns["credit"].append(("overage", parts.overage))
            party.overage += parts.overage
        unpaid = 0 if plan.overage == "warn" else parts.unpaid
        if unpaid:
            self.owe(party, unpaid, f"revenue:{call.model}")
            booked.burns["credit"].append(("debt", unpaid))
        booked.price = parts.credit + parts.overage + unpaid
        return revenue + parts.overage + unpaid

    def _room(self, party: Party, unit: str, call: steps.Call) -> int:
        at = call.admitted_at
        return sum(pot.left + (pot.expired if pot.covers(at) else 0) for pot in self.in_order(party, unit, at))

    def _overage_room(self, party: Party, plan: steps.Plan) -> int:
        if plan.overage != "bill" or party.settings is None:
            return 0
        ceiling = party.settings.ceiling_nano
        if ceiling is None:
            ceiling = plan.price_minor * NANO_PER_CENT if party.settings.has_payment_method else 0
        return max(0, ceiling - party.overage)

    def split(self, call: steps.Call, value: int, room: dict[str, int]) -> Parts:
        plan, tokens = self.plans[call.plan_id], self.tokens(call)
        requests = covered = 0
        if room["request"]:
            requests, most = 1, value if plan.request_max_nano is None else plan.request_max_nano
            share = Fraction(max(0, value - most), value)
        else:
            covered = min(tokens, room["token"])
            share = Fraction(tokens - covered, tokens)
        due = ceil(value * share)
        credit = min(due, room["credit"])
        left = due - credit
        if not left or not room["overage"]:
            return Parts(requests, covered, credit, 0, left)
        whole = value if plan.nano_per_1k_tokens is None else ceil(Fraction(tokens * plan.nano_per_1k_tokens, 1_000))
        wanted = ceil(whole * share * Fraction(left, due))
        if wanted <= room["overage"]:
            return Parts(requests, covered, credit, wanted, 0)
        return Parts(requests, covered, credit, room["overage"], left - int(Fraction(left * room["overage"], wanted)))

    def _burn(self, party: Party, booked: Booked, amount: int, unit: str) -> int:
        call, revenue = booked.call, 0
        target = f"{'revenue' if unit == 'credit' else 'used'}:{call.model}"
        for pot in self.in_order(party, unit, call.admitted_at):
            part = min(amount, pot.left + (self.revivable(pot) if pot.covers(call.admitted_at) else 0))
            if part > pot.left:
                self.revive(pot, part - pot.left)
            if part:
                pot.left, amount = pot.left - part, amount - part
                revenue += pot.burn(part)
                booked.burns[unit].append((pot, part))
                self.move("customers", target, part, unit)
        return revenue

    # Afterwards

    def rerate(self, one: steps.Rerating) -> None:
        mine = [booked for booked in self.calls.values() if one.start <= booked.call.admitted_at < one.end]
        for booked in sorted(mine, key=lambda booked: (booked.call.account.int, booked.call.call_id.int)):
            price, cost = self._price_again(booked, one.version)
            if (price, cost) != (booked.price, booked.cost):
                self._correct(self.settle(booked.call.account), booked, price, cost)

    def _price_again(self, booked: Booked, version: int) -> tuple[int, int]:
        """Requests and tokens pay the share that they paid; overage by the plan's own rate stays."""
        call, plan = booked.call, self.plans[booked.call.plan_id]
        price, cost = self.price(call, version)
        if call.outcome == "orphaned" or not price:
            return price, cost
        in_units = booked.requests or booked.tokens or booked.overage or plan.overage == "warn"
        if not in_units:
            return price, cost
        if booked.overage and plan.nano_per_1k_tokens is not None:
            return booked.price, cost
        room = {"request": booked.requests, "token": booked.tokens, "credit": price, "overage": 0}
        due = self.split(call, price, room).credit
        return (min(due, booked.price) if plan.overage == "warn" else due), cost

    def _correct(self, party: Party, booked: Booked, price: int, cost: int) -> None:
        more, dearer = price - booked.price, cost - booked.cost
        revenue = self._charge_more(party, booked, more) if more > 0 else -self._unburn(party, booked, "credit", -more)
        self.move(self._bearer(booked), "provider", dearer)
        booked.price, booked.cost = price, cost
        self._count(booked.call, 0, more, dearer, 0, 0, 0, revenue)

    def _charge_more(self, party: Party, booked: Booked, amount: int) -> int:
        call, revenue = booked.call, 0
        for pot in self.in_order(party, "credit", call.admitted_at):
            part = min(amount, pot.left) if pot.covers(self.now) else 0
            if part:
                pot.left, amount = pot.left - part, amount - part
                revenue += pot.burn(part)
                booked.burns["credit"].append((pot, part))
                self.move("customers", f"revenue:{call.model}", part)
        if amount:
            self.owe(party, amount, f"revenue:{call.model}")
            booked.burns["credit"].append(("debt", amount))
        return revenue + amount

    def refund_call(self, one: steps.CallRefund) -> None:
        booked = self.calls[one.call_id]
        left = {unit: sum(amount for _, amount in burns) for unit, burns in booked.burns.items()}
        if not any(left.values()) or (one.amount or 0) > left.get("credit", 0):
            return
        party = self.settle(one.account)
        wanted = left if one.amount is None else {"credit": one.amount}
        revenue = sum(self._unburn(party, booked, unit, wanted.get(unit, 0)) for unit in ("credit", "token", "request"))
        self._count(booked.call, 0, 0, 0, 0, 0, 0, -revenue)

    def _unburn(self, party: Party, booked: Booked, unit: str, amount: int) -> int:
        """Give back a call's burns, the last of them first; returns what is no revenue any more."""
        burns, revenue, anew = booked.burns[unit], 0, 0
        source = f"{'revenue' if unit == 'credit' else 'used'}:{booked.call.model}"
        while amount and burns:
            origin, burnt = burns.pop()
            part = min(amount, burnt)
            amount -= part
            if burnt > part:
                burns.append((origin, burnt - part))
            revenue += -origin.burn(-part) if isinstance(origin, Pot) else part
            anew += part - self._found_its_way(party, origin, part, source=source, unit=unit)
        if anew:
            rule = f"returned:{booked.call.call_id}"
            pot = Pot("adjustment", unit, anew, 150, self.now, self.now + RETURNED, self.now, rule)
            self.open(party, pot, source)
        return revenue

    def _found_its_way(self, party: Party, origin: Source, part: int, *, source: str, unit: str) -> int:
        if isinstance(origin, Pot):
            if origin.is_over(self.now):
                return 0
            origin.left += part
            self.move(source, "customers", part, unit)
            return part
        forgiven = min(part, party.debt) if origin == "debt" else 0
        party.debt -= forgiven
        self.move(source, "debts", forgiven)
        return forgiven

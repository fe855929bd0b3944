"""The books of one account as a world needs them."""

import copy
from dataclasses import dataclass, field
from uuid import UUID

from rating.burning import Room, Value, burn

from .reference import UNITS, Grant, Plan, Totals, by_unit, taken


@dataclass
class Ledger:
    """The books of one account: burns inside the allocation first, then any valid grant, then debt."""

    grants: list[Grant]
    plan: Plan = field(default_factory=Plan)
    version: int = 1
    debt: int = 0
    offset: int = 0
    booked: dict[UUID, tuple[str, Totals]] = field(default_factory=dict)

    def apply(self, events, *, hour):
        touched = set()
        for call, outcome, totals, split in events:
            before = self.booked.get(call)
            touched.add(call)
            if before is None or (before[0] == "orphaned" and outcome != "orphaned"):
                self.booked[call] = outcome, totals
                self.burn(totals, split, hour=hour)
            elif outcome != "orphaned":
                assert before == (outcome, totals), f"two different ends of {call}"
        self.offset += len(events)
        self.version += 1
        return self.snapshot(touched)

    def burn(self, totals, split, *, hour):
        left = {grant.slice_id: grant.amount for grant in self.grants}
        inside = [(s, unit, min(amount, left.get(s, 0))) for s, unit, amount in split]
        value = Value(totals.tokens, totals.price, totals.overage, totals.requests)
        paid = burn(value, Room(**room_of(inside)), request_max_price_nano=self.plan.most_request)
        order = inside
        if paid.unpaid_nano:
            part = {slice_id: amount for slice_id, _, amount in inside}
            order = inside + [
                (g.slice_id, g.unit, g.amount - part.get(g.slice_id, 0)) for g in self.grants if g.valid(hour)
            ]
            paid = burn(value, Room(**room_of(order)), request_max_price_nano=self.plan.most_request)
        amounts = {"r": paid.requests, "t": paid.tokens, "c": paid.credit_nano, "o": paid.overage_nano}
        for slice_id, _, amount in taken(amounts, order):
            grant = next(grant for grant in self.grants if grant.slice_id == slice_id)
            grant.amount -= amount
        self.debt += 0 if self.plan.policy == "warn" else paid.unpaid_nano

    def grant(self, grant):
        if grant.unit == "c":
            paid = min(self.debt, grant.amount)
            self.debt -= paid
            grant.amount -= paid
        self.grants.append(grant)
        self.version += 1
        return self.snapshot(set())

    def change(self, plan):
        self.plan = plan
        self.version += 1
        return self.snapshot(set())

    def snapshot(self, applied):
        # Grants that are spent are left out: what still stands on them counts against the rest.
        grants = copy.deepcopy([grant for grant in self.grants if grant.amount])
        return self.version, grants, self.debt, self.plan, applied

    def balance(self, hour):
        left = dict.fromkeys(UNITS, 0)
        for grant in self.grants:
            if grant.valid(hour):
                left[grant.unit] += grant.amount
        left["c"] -= self.debt
        return left


def room_of(order):
    amounts = by_unit(order)
    return {
        "requests": amounts["r"],
        "tokens": amounts["t"],
        "credit_nano": amounts["c"],
        "overage_nano": amounts["o"],
    }

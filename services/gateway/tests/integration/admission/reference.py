"""What the scripts and the ledger should do, in Python integers."""

import copy
from dataclasses import dataclass, field
from uuid import UUID

from contracts.gateway import Allocation
from contracts.money import Unit
from gateway.admission.hold import split_of

HOUR_MS = 3_600_000
PATIENCE_MS = int(1.5 * HOUR_MS)
LEASE_MS = int(0.5 * HOUR_MS)
MARKUP_BPS = 1234

Split = list[tuple[UUID, int]]


def priced(cost):
    return -(-cost * (10_000 + MARKUP_BPS) // 10_000)


def taken_from(split: Split, amount: int, *, excess: bool) -> Split:
    """The first `amount` of a split; what exceeds it stands on the last slice."""
    taken, left = [], amount
    for slice_id, most in split:
        part = min(most, left)
        taken.append((slice_id, part))
        left -= part
    if left and excess:
        slice_id, part = taken[-1]
        taken[-1] = slice_id, part + left
    return [(slice_id, part) for slice_id, part in taken if part]


def split_text(split: Split) -> str:
    return split_of(Allocation(slice_id=slice_id, unit=Unit.CREDIT, amount=amount) for slice_id, amount in split)


@dataclass
class Grant:
    slice_id: UUID
    amount: int
    from_hour: float
    to_hour: float

    def valid(self, hour):
        return self.from_hour <= hour < self.to_hour


@dataclass
class Reference:
    """What the scripts should do, in Python integers."""

    version: int | None = None
    built: str = ""
    grants: list[Grant] = field(default_factory=list)
    debt: int = 0
    entries: dict[UUID, dict] = field(default_factory=dict)
    confirmed: dict[UUID, int] = field(default_factory=dict)

    def used(self):
        total = {}
        for entry in self.entries.values():
            for slice_id, amount in entry["split"]:
                total[slice_id] = total.get(slice_id, 0) + amount
        return total

    def free(self, hour):
        used = self.used()
        valid = [
            (grant.slice_id, grant.amount - used.get(grant.slice_id, 0)) for grant in self.grants if grant.valid(hour)
        ]
        known = {grant.slice_id for grant in self.grants}
        elsewhere = sum(amount for slice_id, amount in used.items() if slice_id not in known)
        return sum(amount for _, amount in valid) - elsewhere - self.debt, valid

    def admit(self, call, cost, *, run, hour):
        if self.built != run or self.version is None:
            return "reload", None, None
        if call in self.confirmed:
            return "ended", None, None
        available, valid = self.free(hour)
        need = priced(cost)
        if available < need:
            return "credit", available, None
        split = taken_from([(slice_id, amount) for slice_id, amount in valid if amount > 0], need, excess=False)
        self.entries[call] = {"state": "held", "split": split, "due": hour + PATIENCE_MS / HOUR_MS}
        return "ok", available - need, split

    def settle(self, call, price, split, *, hour):
        if call in self.confirmed:
            return "confirmed"
        split = self.entries[call]["split"] if call in self.entries else split
        self.entries[call] = {"state": "ended", "split": taken_from(split, price, excess=True), "due": hour + 1 / 60}
        return "ok"

    def keep(self, call, split, *, hour):
        if call in self.confirmed:
            return "confirmed"
        due = hour + PATIENCE_MS / HOUR_MS
        entry = self.entries.setdefault(call, {"state": "held", "split": split, "due": due})
        if entry["state"] == "held":
            entry["due"] = due
        return entry["state"]

    def apply(self, snapshot, *, run, reload, hour):
        version, grants, debt, applied = snapshot
        for call in applied:
            self.entries.pop(call, None)
            self.confirmed[call] = hour
        if applied:
            self.confirmed = {call: at for call, at in self.confirmed.items() if hour - at < 1}
        if self.version is None and not reload:
            return
        if self.version is None or version > self.version:
            self.version, self.grants, self.debt = version, copy.deepcopy(grants), debt
        if reload:
            self.built = run

    def sweep(self, *, hour):
        found = {}
        for call, entry in self.entries.items():
            if entry["due"] <= hour:
                found[call] = entry["state"]
                entry["due"] = hour + LEASE_MS / HOUR_MS
                entry["state"] = "swept" if entry["state"] == "held" else entry["state"]
        return found


@dataclass
class Ledger:
    """The books of one account: burns inside the allocation first, then any valid grant, then debt."""

    grants: list[Grant]
    version: int = 1
    debt: int = 0
    offset: int = 0
    booked: dict[UUID, tuple[str, int]] = field(default_factory=dict)
    burns: dict[UUID, Split] = field(default_factory=dict)

    def apply(self, events, *, hour):
        touched = set()
        for call, outcome, price, split in events:
            before = self.booked.get(call)
            touched.add(call)
            if before is None or (before[0] == "orphaned" and outcome != "orphaned"):
                self.booked[call] = outcome, price
                self.burn(call, price, split, hour=hour)
            elif outcome != "orphaned":
                assert before == (outcome, price), f"two different ends of {call}"
        self.offset += len(events)
        self.version += 1
        return self.snapshot(touched)

    def burn(self, call, price, split, *, hour):
        left = price
        amounts = {grant.slice_id: grant for grant in self.grants}
        wanted = [(slice_id, most) for slice_id, most in split] + [
            (g.slice_id, g.amount) for g in self.grants if g.valid(hour)
        ]
        for slice_id, most in wanted:
            part = min(left, most, amounts[slice_id].amount)
            amounts[slice_id].amount -= part
            left -= part
            self.burns.setdefault(call, []).append((slice_id, part))
        self.debt += left

    def grant(self, grant):
        paid = min(self.debt, grant.amount)
        self.debt -= paid
        grant.amount -= paid
        self.grants.append(grant)
        self.version += 1
        return self.snapshot(set())

    def snapshot(self, applied):
        # Grants that are spent are left out: what still stands on them counts against the rest.
        return self.version, copy.deepcopy([grant for grant in self.grants if grant.amount]), self.debt, applied

    def balance(self, hour):
        return sum(grant.amount for grant in self.grants if grant.valid(hour)) - self.debt

"""What the scripts and the ledger should do, in Python integers.

Units are letters: r(equest), t(oken), c(redit), o(verage). A split is a list of (slice, unit, amount).
"""

import copy
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from rating.burning import Room, Value, burn

HOUR_MS = 3_600_000
PATIENCE_MS = int(1.5 * HOUR_MS)
LEASE_MS = int(0.5 * HOUR_MS)
MOST_AMOUNT = 9 * 10**15
UNITS = "rtco"
NO_SLICE = "-"

Split = list[tuple[Any, str, int]]


class Totals(NamedTuple):
    """What a call is worth: in the order of `Amounts`."""

    price: int
    tokens: int
    requests: int
    overage: int
    rate: int


NOTHING = Totals(0, 0, 0, 0, 0)


@dataclass(frozen=True)
class Plan:
    """What of an account's terms the scripts decide by; None is unlimited."""

    digest: str = "d1"
    most_request: int | None = None
    policy: str = "block"
    rpm: int | None = None
    tpm: int | None = None
    open: int | None = None
    open_member: int | None = None
    most_price: int | None = None
    budgets: tuple[tuple[str, str, int, int, float | None], ...] = ()
    """Scope as scripts name it, window, limit, spent, and the hour from which nothing is spent."""


@dataclass
class Grant:
    slice_id: UUID
    unit: str
    amount: int
    from_hour: float
    to_hour: float

    def valid(self, hour):
        return self.from_hour <= hour < self.to_hour


def share(amount, part, whole):
    return -(-amount * part // whole)


def divide(totals: Totals, room: dict[str, int], most_request: int | None) -> tuple[dict[str, int], int]:
    """As the script divides: overage is rounded up in two steps, all else is the ledger's own rule."""
    value = Value(totals.tokens, totals.price, totals.overage, totals.requests)
    exact = burn(value, Room(room["r"], room["t"], room["c"], MOST_AMOUNT * 10), request_max_price_nano=most_request)
    pays = {"r": exact.requests, "t": exact.tokens, "c": exact.credit_nano, "o": 0}
    without = burn(value, Room(room["r"], room["t"], room["c"], 0), request_max_price_nano=most_request)
    unpaid = without.unpaid_nano
    if not unpaid or room["o"] <= 0:
        return pays, unpaid
    due = pays["c"] + unpaid
    if exact.requests:
        part, whole = due, totals.price
    else:
        part, whole = (totals.tokens - exact.tokens, totals.tokens) if totals.tokens else (1, 1)
    wanted = share(share(totals.overage, part, whole), unpaid, due)
    assert exact.overage_nano <= wanted <= exact.overage_nano + 1
    if wanted <= room["o"]:
        return pays | {"o": wanted}, 0
    return pays | {"o": room["o"]}, share(unpaid, wanted - room["o"], wanted)


def by_unit(split: Split) -> dict[str, int]:
    return {unit: sum(amount for _, letter, amount in split if letter == unit) for unit in UNITS}


def taken(amounts: dict[str, int], free: list[tuple[Any, str, int]]) -> Split:
    split = []
    for unit in UNITS:
        left = amounts[unit]
        for slice_id, letter, room in free:
            part = min(left, room) if letter == unit else 0
            if part > 0:
                split.append((slice_id, unit, part))
                left -= part
    return split


def ended(totals: Totals, split: Split, plan: Plan) -> Split:
    """What an end leaves of a hold: inside it, and what exceeds it on the last unit that paid."""
    room, last = by_unit(split), split[-1][1] if split else "c"
    if plan.policy != "warn":
        room["c" if last == "r" else last] = MOST_AMOUNT
    pays, unpaid = divide(totals, room, plan.most_request)
    if plan.policy != "warn":
        pays["c"] += unpaid
    left = []
    for unit in UNITS:
        mine = [(slice_id, amount) for slice_id, letter, amount in split if letter == unit]
        for at, (slice_id, amount) in enumerate(mine):
            part = pays[unit] if at == len(mine) - 1 else min(amount, pays[unit])
            pays[unit] -= part
            left += [(slice_id, unit, part)] if part else []
        if pays[unit]:
            left.append((NO_SLICE, "c", pays[unit]))
    return left


def split_text(split: Split) -> str:
    return ",".join(f"{slice_id}:{unit}={amount}" for slice_id, unit, amount in split)


def drained(bucket, limit, now):
    used, at = bucket
    return max(0, used - max(0, now - at) * limit)


@dataclass
class Reference:
    """What the scripts should do, in Python integers."""

    version: int | None = None
    built: str = ""
    plan: Plan = field(default_factory=Plan)
    grants: list[Grant] = field(default_factory=list)
    debt: int = 0
    entries: dict[UUID, dict] = field(default_factory=dict)
    confirmed: dict[UUID, float] = field(default_factory=dict)
    rpm: tuple[int, int] = (0, 0)
    tpm: tuple[int, int] = (0, 0)

    def used(self):
        total = {}
        for entry in self.entries.values():
            for slice_id, unit, amount in entry["split"]:
                total[slice_id, unit] = total.get((slice_id, unit), 0) + amount
        return total

    def flight(self):
        total: dict[str, int] = {}
        for entry in self.entries.values():
            for scope in entry["scopes"]:
                total[scope] = total.get(scope, 0) + entry["totals"].price
            if entry["state"] == "held" and not entry.get("is_customers"):
                for name in ["open"] + [
                    f"open:{scope[7:]}" for scope in entry["scopes"] if scope.startswith("member:")
                ]:
                    total[name] = total.get(name, 0) + 1
        return {name: count for name, count in total.items() if count}

    def counted(self):
        """What of it the scripts keep: only what something limits, as far as they know of it."""
        if self.version is None:
            return {}
        kept = {scope for scope, *_ in self.plan.budgets}
        if self.plan.open is not None:
            kept.add("open")
        per_member = self.plan.open_member is not None
        return {
            name: count
            for name, count in self.flight().items()
            if name in kept or (per_member and name.startswith("open:"))
        }

    def free(self, hour):
        used = self.used()
        left = {"r": 0, "t": 0, "c": -self.debt, "o": 0}
        valid = []
        for grant in self.grants:
            if grant.valid(hour):
                room = grant.amount - used.get((grant.slice_id, grant.unit), 0)
                left[grant.unit] += room
                valid.append((grant.slice_id, grant.unit, room))
        known = {(grant.slice_id, grant.unit) for grant in self.grants}
        for (slice_id, unit), amount in used.items():
            if (slice_id, unit) not in known:
                left[unit] -= amount
        return left, valid

    def broken_budget(self, scopes, price, hour):
        flight = self.flight()
        for scope in scopes:
            for name, window, limit, spent, resets in self.plan.budgets:
                booked = 0 if resets is not None and resets <= hour else spent
                if name == scope and price > 0 and booked + flight.get(scope, 0) + price > limit:
                    return f"budget:{scope.split(':')[0]}:{window}"
        return None

    def admit(self, call, totals, *, run, hour, now, scopes, digest, expires=None):  # noqa: PLR0911  # one per answer
        """The answer's words, the room after it, and the split of what was admitted."""
        if self.built != run or self.version is None:
            return "reload", None, None
        if call in self.confirmed:
            return "ended", None, None
        left, valid = self.free(hour)
        if digest != self.plan.digest:
            return "terms", None, None
        if self.plan.most_price is not None and totals.price > self.plan.most_price:
            return "max_price", left, None
        is_customers = expires is not None
        reason = self.broken_budget(scopes, totals.price, hour) or self.over_rate(totals, now)
        reason = reason or (None if is_customers else self.crowded(scopes))
        if reason:
            return reason, left, None
        pays, unpaid = divide(totals, left, self.plan.most_request)
        if unpaid and self.plan.policy != "warn":
            return "credit", left, None
        split = taken(pays, valid)
        self.entries[call] = {
            "state": "held",
            "split": split,
            "due": expires if expires is not None else hour + PATIENCE_MS / HOUR_MS,
            "totals": totals,
            "scopes": scopes,
            "is_customers": is_customers,
        }
        if self.plan.rpm is not None:
            self.rpm = drained(self.rpm, self.plan.rpm, now) + 60_000, max(now, self.rpm[1])
        self.correct_tokens(totals.rate, now)
        return "ok", {unit: left[unit] - pays[unit] for unit in UNITS}, split

    def over_rate(self, totals, now):
        rpm, tpm = self.plan.rpm, self.plan.tpm
        if rpm is not None and drained(self.rpm, rpm, now) + 60_000 > rpm * 60_000:
            return "requests_per_minute"
        if tpm is not None and totals.rate and drained(self.tpm, tpm, now) + totals.rate * 60_000 > tpm * 60_000:
            return "tokens_per_minute"
        return None

    def crowded(self, scopes):
        flight = self.flight()
        if self.plan.open is not None and flight.get("open", 0) >= self.plan.open:
            return "concurrency"
        member = next((f"open:{scope[7:]}" for scope in scopes if scope.startswith("member:")), None)
        if self.plan.open_member is not None and member and flight.get(member, 0) >= self.plan.open_member:
            return "member_concurrency"
        return None

    def correct_tokens(self, amount, now):
        if self.plan.tpm is not None and amount:
            self.tpm = max(0, drained(self.tpm, self.plan.tpm, now) + amount * 60_000), max(now, self.tpm[1])

    def extend(self, call, totals, known, *, run, hour):  # noqa: PLR0911  # one per answer
        if call in self.confirmed:
            return "confirmed"
        due = hour + PATIENCE_MS / HOUR_MS
        entry = self.entries.setdefault(call, copy.deepcopy(known) | {"state": "held", "due": due})
        if entry["state"] != "held":
            return entry["state"]
        if self.built != run or self.version is None:
            return "reload"
        more = totals.price - entry["totals"].price
        if self.plan.most_price is not None and totals.price > self.plan.most_price:
            return "refused"
        if self.broken_budget(entry["scopes"], more, hour):
            return "refused"
        left, valid = self.free(hour)
        held = by_unit(entry["split"])
        pays, unpaid = divide(totals, {u: held[u] + max(0, left[u]) for u in UNITS}, self.plan.most_request)
        if unpaid and self.plan.policy != "warn":
            return "refused"
        added = taken({unit: max(0, pays[unit] - held[unit]) for unit in UNITS}, valid)
        merged: dict[tuple[Any, str], int] = {}
        for slice_id, unit, amount in entry["split"] + added:
            merged[slice_id, unit] = merged.get((slice_id, unit), 0) + amount
        split = sorted(((s, u, a) for (s, u), a in merged.items()), key=lambda one: UNITS.index(one[1]))
        self.entries[call] = entry | {"split": split, "totals": totals, "due": due}
        return "ok|" + split_text(split)

    def settle(self, call, totals, known, *, hour, now):
        if call in self.confirmed:
            return "confirmed"
        was = self.entries.get(call)
        entry = was or copy.deepcopy(known)
        if was and was["state"] == "held":
            self.correct_tokens(totals.rate - was["totals"].rate, now)
        split = ended(totals, entry["split"], self.plan)
        self.entries[call] = entry | {"state": "ended", "split": split, "totals": totals, "due": hour + 1 / 60}
        return was["state"] if was else "unknown"

    def keep(self, call, known, *, hour):
        if call in self.confirmed:
            return "confirmed"
        due = hour + PATIENCE_MS / HOUR_MS
        entry = self.entries.setdefault(call, copy.deepcopy(known) | {"state": "held", "due": due})
        if entry["state"] == "held":
            entry["due"] = due
        return entry["state"]

    def release(self, call, *, hour, now):
        entry = self.entries.get(call)
        if entry is None:
            self.confirmed.setdefault(call, hour)
            return "unknown"
        if entry["state"] != "held":
            return entry["state"]
        if self.plan.rpm is not None:
            self.rpm = max(0, drained(self.rpm, self.plan.rpm, now) - 60_000), max(now, self.rpm[1])
        self.correct_tokens(-entry["totals"].rate, now)
        self.entries[call] = entry | {"state": "swept", "split": [], "totals": NOTHING, "due": hour}
        return "held"

    def apply(self, snapshot, *, run, reload, hour):
        version, grants, debt, plan, applied = snapshot
        for call in applied:
            self.entries.pop(call, None)
            self.confirmed[call] = hour
        if applied:
            self.confirmed = {call: at for call, at in self.confirmed.items() if hour - at < 1}
        if self.version is None and not reload:
            return
        if self.version is None or version > self.version:
            self.version, self.grants, self.debt, self.plan = version, copy.deepcopy(grants), debt, plan
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

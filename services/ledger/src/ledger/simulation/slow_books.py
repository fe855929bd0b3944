"""The reference's values, and the plainest movements between them: lists, dictionaries, fractions."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, Final, Literal
from uuid import UUID

from ledger.simulation import steps

RETURNED: Final = timedelta(days=30)
NANO_PER_CENT: Final = 10_000_000
FOREVER: Final = datetime.max.replace(tzinfo=UTC)

Days = dict[tuple[UUID, str, str, str], list[int]]
"""Per account, day, plan and model: calls, price, cost, plan tokens, plan requests, overage, revenue."""


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
    rule: str = ""
    paid: int = 0
    left: int = 0
    burnt: int = 0
    expired: int = 0
    rolled: int = 0
    heir: "Pot | None" = None
    is_carried: bool = False
    is_withdrawn: bool = False

    def covers(self, instant: datetime) -> bool:
        return self.starts <= instant and (self.ends is None or instant < self.ends)

    def is_over(self, instant: datetime) -> bool:
        return self.ends is not None and self.ends <= instant

    @property
    def name(self) -> str:
        """What orders pots that were made at once."""
        return f"{self.rule}#rolled" if self.is_carried else self.rule

    def burn(self, amount: int) -> int:
        """Count more (or less) as burnt; the revenue that comes with it."""
        before, self.burnt = self.burnt, self.burnt + amount
        return self._revenue(self.burnt) - self._revenue(before)

    def _revenue(self, burnt: int) -> int:
        return int(Fraction(self.paid * NANO_PER_CENT * burnt, self.amount))

    def row(self) -> tuple[Any, ...]:
        shown = (self.source, self.unit, self.amount, self.starts, self.ends, self.created)
        return (*shown, self.left, self.burnt, self.expired, self.rolled)


Source = Pot | Literal["debt", "overage"]


@dataclass
class Paid:
    """A payment: what it gave, how much of it, for how many cents."""

    pot: Pot | None
    amount: int
    paid: int


@dataclass
class Booked:
    """A call in the books; `burns` is what it has taken and not got back, per unit, the last of it last."""

    call: steps.Call
    price: int = 0
    cost: int = 0
    tokens: int = 0
    requests: int = 0
    overage: int = 0
    burns: dict[str, list[tuple[Source, int]]] = field(default_factory=lambda: defaultdict(list))


@dataclass
class Party:
    """An account. `overage` is what accrued in the running period."""

    account: UUID
    anchor: datetime
    plan: steps.Plan
    starts: datetime
    ends: datetime
    pots: list[Pot] = field(default_factory=list)
    debt: int = 0
    overage: int = 0
    subscription: str | None = None
    settings: steps.Settings | None = None
    given: set[tuple[str, datetime]] = field(default_factory=set)
    """The rules and whole periods' starts of which there is a grant."""


class SlowBooks:
    """What moves, and nothing of why."""

    def __init__(self, plans: dict[str, steps.Plan]) -> None:
        self.plans = plans
        self.books: dict[tuple[str, str], int] = defaultdict(int)
        self.parties: dict[UUID, Party] = {}
        self.days: Days = defaultdict(lambda: [0] * 7)
        self.now = datetime.min.replace(tzinfo=UTC)

    def move(self, source: str, target: str, amount: int, unit: str = "credit") -> None:
        self.books[source, unit] -= amount
        self.books[target, unit] += amount

    def open(self, party: Party, pot: Pot, source: str) -> None:
        """Fund a pot; debt is paid out of it first."""
        pot.left = pot.amount
        party.pots.append(pot)
        self.move(source, "customers", pot.amount, pot.unit)
        self.repay(party, pot)

    def repay(self, party: Party, pot: Pot) -> None:
        if pot.unit == "credit":
            repaid = min(party.debt, pot.left)
            party.debt, pot.left = party.debt - repaid, pot.left - repaid
            self.move("customers", "debts", repaid)

    def owe(self, party: Party, amount: int, target: str) -> None:
        party.debt += amount
        self.move("debts", target, amount)

    def expire(self, party: Party, until: datetime) -> None:
        for pot in party.pots:
            if pot.is_over(until) and pot.left:
                self.move("customers", "breakage", pot.left, pot.unit)
                pot.expired, pot.left = pot.expired + pot.left, 0

    def revivable(self, pot: Pot) -> int:
        return pot.expired + (min(pot.rolled, pot.heir.left) if pot.heir else 0)

    def revive(self, pot: Pot, amount: int) -> None:
        expired = min(amount, pot.expired)
        self.move("breakage", "customers", expired, pot.unit)
        pot.expired, pot.left = pot.expired - expired, pot.left + expired
        if pot.heir is not None:
            rolled = amount - expired
            pot.rolled, pot.heir.left, pot.left = pot.rolled - rolled, pot.heir.left - rolled, pot.left + rolled

    def in_order(self, party: Party, unit: str, admitted_at: datetime) -> list[Pot]:
        """Valid at admission first, then those of today; in each by priority, end, creation, name."""
        pots = [pot for pot in party.pots if pot.unit == unit and (pot.covers(admitted_at) or pot.covers(self.now))]
        return sorted(
            pots,
            key=lambda pot: (not pot.covers(admitted_at), pot.priority, pot.ends or FOREVER, pot.created, pot.name),
        )

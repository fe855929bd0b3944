"""What the generator of a year remembers to make sense, and what is on sale in it."""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from ledger.simulation import steps

# The first year holds a leap day, and months of every length.
STARTS: Final = datetime(2027, 12, 31, 22, 30, tzinfo=UTC)
CREDIT: Final = 1_000_000_000
MODELS: Final = ("claude-sonnet-4-5", "claude-haiku-5-5")
FREE: Final = steps.Plan("simulated", "token", 60_000, roll_over_cap=20_000, trial_nano=CREDIT // 2, trial_days=14)
PRO: Final = steps.Plan(
    "pro",
    "token",
    90_000,
    price_minor=900,
    roll_over_cap=30_000,
    overage="bill",
    nano_per_1k_tokens=2_000_001,
    output_hundredths=250,
)
GENEROUS: Final = steps.Plan("generous", "token", 150_000, price_minor=1_900, overage="warn", output_hundredths=33)
# A call costs up to some hundred million: some are dearer than a request pays for.
CALLS: Final = steps.Plan(
    "calls", "request", 12, price_minor=500, roll_over_cap=5, overage="bill", request_max_nano=20_000_000
)
CREDITS: Final = steps.Plan("credits", "credit", CREDIT // 3, price_minor=800)
PLANS: Final = {plan.plan_id: plan for plan in (FREE, PRO, GENEROUS, CALLS, CREDITS)}


@dataclass
class Held:
    """An account's subscription as it stands at billing; its periods count from its first instant."""

    subscription_id: str
    plan: steps.Plan
    first: datetime
    number: int = 0
    version: int = 1
    paid_ahead: bool = False

    def period(self, number: int | None = None) -> tuple[datetime, datetime]:
        number = self.number if number is None else number
        return steps.months_after(self.first, number), steps.months_after(self.first, number + 1)


@dataclass
class World:
    """Everything that was told so far."""

    chance: random.Random
    now: datetime
    books: list[steps.PriceBook] = field(default_factory=list)
    accounts: list[UUID] = field(default_factory=list)
    held: dict[UUID, Held] = field(default_factory=dict)
    payments: list[tuple[datetime, steps.Payment]] = field(default_factory=list)
    disputes: list[steps.Reversal] = field(default_factory=list)
    calls: list[steps.Call] = field(default_factory=list)
    orphans: list[steps.Call] = field(default_factory=list)
    told: list[steps.Happening] = field(default_factory=list)
    delayed: list[steps.Happening] = field(default_factory=list)
    settings: dict[UUID, int] = field(default_factory=dict)
    names: int = 0

    def name(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}_{self.names}"

    def call_id(self, at: datetime) -> UUID:
        """A UUIDv7 of that instant."""
        milliseconds = int(at.timestamp() * 1000)
        bits = self.chance.getrandbits(74)
        return UUID(int=milliseconds << 80 | 7 << 76 | (bits >> 62) << 64 | 2 << 62 | bits & ((1 << 62) - 1))

    def version_at(self, at: datetime) -> int:
        return max((book for book in self.books if book.effective_at <= at), key=lambda book: book.version).version

    def plan_of(self, account: UUID) -> steps.Plan:
        held = self.held.get(account)
        return held.plan if held else FREE

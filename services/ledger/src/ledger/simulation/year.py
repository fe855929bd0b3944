"""A year of billing from a seed: sign-ups, bursts, late and repeated events, refunds, disputes, prices, crashes."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from ledger.simulation import steps

# It holds a leap day, and months of every length.
STARTS: Final = datetime(2027, 12, 31, 22, 30, tzinfo=UTC)
CREDIT: Final = 1_000_000_000
OUTCOMES: Final[tuple[steps.Outcome, ...]] = ("completed", "refused", "orphaned")
DECISIONS: Final[tuple[steps.ReversalKind, ...]] = ("dispute_won", "dispute_lost")
MODELS: Final = ("claude-sonnet-4-5", "claude-haiku-5-5")
TERMS: Final = steps.Terms(trial_nano=CREDIT // 2, trial_days=14, monthly_tokens=60_000, roll_over_cap=20_000)
PER_ACCOUNT_AND_MONTH: Final = 18
_WEEK: Final = timedelta(days=7)


@dataclass
class _World:
    """What the generator remembers to make sense."""

    chance: random.Random
    now: datetime
    books: list[steps.PriceBook] = field(default_factory=list)
    accounts: list[UUID] = field(default_factory=list)
    payments: list[tuple[datetime, steps.Payment]] = field(default_factory=list)
    disputes: list[steps.Reversal] = field(default_factory=list)
    orphans: list[steps.Call] = field(default_factory=list)
    told: list[steps.Happening] = field(default_factory=list)
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


def year(
    seed: int, *, accounts: int, months: int, first: steps.PriceBook, crashes: bool = True
) -> Iterator[steps.Step]:
    """The steps in order of time, no two at the same instant; `first` is the price book of the beginning."""
    world = _World(random.Random(seed), STARTS, [first])  # noqa: S311  # a schedule, no secret
    chance, end = world.chance, STARTS + timedelta(days=31 * months)
    pace = timedelta(days=30) / (accounts * PER_ACCOUNT_AND_MONTH)
    number, settled = 0, STARTS
    while world.now < end:
        world.now += pace * chance.uniform(0.05, 1.95) + timedelta(microseconds=1)
        happenings: list[steps.Happening] = []
        if world.now - settled > _WEEK:
            settled, happenings = world.now, [steps.Settle()]
        elif len(world.accounts) < accounts and (not world.accounts or chance.random() < 0.2):
            happenings = [_sign_up(world)]
        else:
            happenings = _something(world)
        if happenings:
            number += 1
            yield steps.Step(number, world.now, tuple(happenings), crashes and chance.random() < 0.1)


def _sign_up(world: _World) -> steps.Happening:
    account = UUID(int=world.chance.getrandbits(128), version=4)
    world.accounts.append(account)
    return steps.SignUp(account)


def _something(world: _World) -> list[steps.Happening]:
    makers = (_burst, _payment, _subscription, _refund, _dispute, _adjustment, _price_change, _again, _late_end)
    weights = (60, 8, 5, 4, 4, 5, 1, 8, 6)
    (make,) = world.chance.choices(makers, weights)
    made = make(world)
    world.told = [*world.told[-30:], *(one for one in made if not isinstance(one, steps.Adjustment | steps.PriceBook))]
    return made


def _burst(world: _World) -> list[steps.Happening]:
    number = world.chance.choice((1, 1, 2, 3, 12))
    calls = [_call(world) for _ in range(number)]
    world.orphans += [call for call in calls if call.outcome == "orphaned"]
    # The same call twice in one batch.
    return [*calls, calls[0]] if world.chance.random() < 0.1 else list(calls)


def _call(world: _World) -> steps.Call:
    chance = world.chance
    # Some come days later, out of a spool: over a month's end, over an expiry.
    late_s = chance.choice((0.5, 0.5, 0.5, 3_600, 86_400 * 3, 86_400 * 12))
    at = max(world.now - timedelta(seconds=chance.uniform(0, late_s)), STARTS + timedelta(microseconds=1))
    outcome = chance.choices(OUTCOMES, (90, 5, 5))[0]
    return steps.Call(
        account=chance.choice(world.accounts),
        call_id=world.call_id(at),
        admitted_at=at,
        model=chance.choice(MODELS),
        input_tokens=0 if outcome == "orphaned" else chance.choice((1, 7, 333, 4_000, 30_000)),
        output_tokens=chance.choice((1, 99, 2_000)) if outcome == "completed" else 0,
        version=world.version_at(at),
        markup_bps=chance.choice((0, 1, 1_500, 3_333)),
        outcome=outcome,
    )


def _late_end(world: _World) -> list[steps.Happening]:
    """A call that was given up ended after all; once, sometimes beside another report that nobody heard of it."""
    if not world.orphans:
        return []
    lost = world.orphans.pop(world.chance.randrange(len(world.orphans)))
    end = steps.Call(
        lost.account, lost.call_id, lost.admitted_at, lost.model, 500, 1_001, lost.version, lost.markup_bps, "completed"
    )
    return [end, lost] if world.chance.random() < 0.5 else [end]


def _payment(world: _World) -> list[steps.Happening]:
    chance = world.chance
    amount = chance.choice((1, CREDIT // 100, CREDIT // 7, CREDIT, 10 * CREDIT))
    valid_days = chance.choice((None, 31, 365))
    paid = chance.choice((1, 99, 1_000))
    one = steps.Payment(chance.choice(world.accounts), world.name("pi"), amount, paid, valid_days, None)
    world.payments.append((world.now, one))
    return [one]


def _subscription(world: _World) -> list[steps.Happening]:
    """A period that is paid for, sometimes the same one twice."""
    chance = world.chance
    starts = world.now.replace(hour=0, minute=0, second=0, microsecond=0)
    period = (starts, starts + timedelta(days=chance.choice((28, 30, 31))))
    one = steps.Payment(chance.choice(world.accounts), world.name("pi"), CREDIT // 3, 900, None, period)
    twice = steps.Payment(one.account, world.name("pi"), one.amount, one.paid_minor, None, period)
    return [one, twice] if chance.random() < 0.2 else [one]


def _refund(world: _World) -> list[steps.Happening]:
    return _reversal(world, "re", "refund")


def _dispute(world: _World) -> list[steps.Happening]:
    """Opened; later won or lost, or heard of in the wrong order."""
    chance = world.chance
    if world.disputes and chance.random() < 0.6:
        opened = world.disputes.pop(chance.randrange(len(world.disputes)))
        kind = chance.choice(DECISIONS)
        return [steps.Reversal(opened.account, opened.payment_id, opened.reversal_id, kind, opened.minor)]
    made = _reversal(world, "dp", "dispute_opened")
    world.disputes += [one for one in made if isinstance(one, steps.Reversal)]
    return made


def _reversal(world: _World, prefix: str, kind: steps.ReversalKind) -> list[steps.Happening]:
    recent = [one for at, one in world.payments if world.now - at < timedelta(days=60)]
    if not recent:
        return []
    payment = world.chance.choice(recent)
    minor = max(1, payment.paid_minor // world.chance.choice((1, 1, 2, 3)))
    return [steps.Reversal(payment.account, payment.payment_id, world.name(prefix), kind, minor)]


def _adjustment(world: _World) -> list[steps.Happening]:
    amount = world.chance.choice((CREDIT // 10, 3, -CREDIT // 20, -CREDIT))
    return [steps.Adjustment(world.chance.choice(world.accounts), amount, world.chance.choice((None, 9)))]


def _price_change(world: _World) -> list[steps.Happening]:
    effective = world.now + timedelta(minutes=6)
    last = world.books[-1]
    if last.effective_at > world.now:
        return []
    rates = {model: (world.chance.choice((1, 97, 3_000)), world.chance.choice((499, 15_000))) for model in last.rates}
    book = steps.PriceBook(last.version + 1, effective, rates)
    world.books.append(book)
    return [book]


def _again(world: _World) -> list[steps.Happening]:
    """Kafka gives again what it gave before."""
    return [world.chance.choice(world.told)] if world.told else []

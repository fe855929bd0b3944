"""A year of billing from a seed: sign-ups, plans, bursts, late and repeated events, money back, prices, crashes."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from ledger.simulation import selling, steps
from ledger.simulation.world import MODELS, STARTS, World

OUTCOMES: Final[tuple[steps.Outcome, ...]] = ("completed", "refused", "orphaned")
PER_ACCOUNT_AND_MONTH: Final = 22
_WEEK: Final = timedelta(days=7)
_REPEATED: Final = (steps.SignUp, steps.Subscription, steps.Settings, steps.Payment, steps.Reversal, steps.Call)


def year(
    seed: int, *, accounts: int, months: int, first: steps.PriceBook, crashes: bool = True
) -> Iterator[steps.Step]:
    """The steps in order of time, no two at the same instant; `first` is the price book of the beginning."""
    world = World(random.Random(seed), STARTS, [first])  # noqa: S311  # a schedule, no secret
    chance, end = world.chance, STARTS + timedelta(days=31 * months)
    pace = timedelta(days=30) / (accounts * PER_ACCOUNT_AND_MONTH)
    number, settled = 0, STARTS
    while world.now < end:
        world.now += pace * chance.uniform(0.05, 1.95) + timedelta(microseconds=1)
        happenings: list[steps.Happening] = []
        if world.now - settled > _WEEK or world.now >= end:
            settled, happenings = world.now, [steps.Settle()]
        elif len(world.accounts) < accounts and (not world.accounts or chance.random() < 0.2):
            happenings = [_sign_up(world)]
        else:
            happenings = selling.renewals(world) or _something(world)
        if happenings:
            world.told = [*world.told[-30:], *(one for one in happenings if isinstance(one, _REPEATED))]
            number += 1
            yield steps.Step(number, world.now, tuple(happenings), crashes and chance.random() < 0.1)


def _sign_up(world: World) -> steps.Happening:
    account = UUID(int=world.chance.getrandbits(128), version=4)
    world.accounts.append(account)
    return steps.SignUp(account)


def _something(world: World) -> list[steps.Happening]:
    makers = {
        _burst: 60,
        _again: 8,
        _late_end: 6,
        _price_change: 2,
        _rerating: 2,
        selling.bundle: 7,
        selling.plan_change: 6,
        selling.delayed_payment: 3,
        selling.settings: 4,
        selling.refund: 4,
        selling.dispute: 4,
        selling.adjustment: 5,
        selling.call_refund: 4,
    }
    (make,) = world.chance.choices(list(makers), list(makers.values()))
    return make(world)


def _burst(world: World) -> list[steps.Happening]:
    number = world.chance.choice((1, 1, 2, 3, 12))
    calls = [_call(world) for _ in range(number)]
    world.orphans += [call for call in calls if call.outcome == "orphaned"]
    world.calls += calls
    # The same call twice in one batch.
    return [*calls, calls[0]] if world.chance.random() < 0.1 else list(calls)


def _call(world: World) -> steps.Call:
    chance = world.chance
    # Some come days later, out of a spool: over a month's end, over an expiry.
    late_s = chance.choice((0.5, 0.5, 0.5, 3_600, 86_400 * 3, 86_400 * 12))
    at = max(world.now - timedelta(seconds=chance.uniform(0, late_s)), STARTS + timedelta(microseconds=1))
    outcome = chance.choices(OUTCOMES, (90, 5, 5))[0]
    account = chance.choice(world.accounts)
    return steps.Call(
        account=account,
        call_id=world.call_id(at),
        admitted_at=at,
        model=chance.choice(MODELS),
        input_tokens=0 if outcome == "orphaned" else chance.choice((1, 7, 333, 4_000, 30_000)),
        output_tokens=chance.choice((1, 99, 2_000)) if outcome == "completed" else 0,
        version=world.version_at(at),
        markup_bps=chance.choice((0, 1, 1_500, 3_333)),
        outcome=outcome,
        plan_id=world.plan_of(account).plan_id,
    )


def _late_end(world: World) -> list[steps.Happening]:
    """A call that was given up ended after all; once, sometimes beside another report that nobody heard of it."""
    if not world.orphans:
        return []
    lost = world.orphans.pop(world.chance.randrange(len(world.orphans)))
    end = replace(lost, input_tokens=500, output_tokens=1_001, outcome="completed")
    return [end, lost] if world.chance.random() < 0.5 else [end]


def _price_change(world: World) -> list[steps.Happening]:
    effective = world.now + timedelta(minutes=6)
    last = world.books[-1]
    if last.effective_at > world.now:
        return []
    rates = {model: (world.chance.choice((1, 97, 3_000)), world.chance.choice((499, 15_000))) for model in last.rates}
    book = steps.PriceBook(last.version + 1, effective, rates)
    world.books.append(book)
    return [book]


def _rerating(world: World) -> list[steps.Happening]:
    """The last weeks by any version: a price that was wrong, or one that was right after all."""
    start = world.now - timedelta(days=world.chance.choice((3, 20, 60)))
    known = [book for book in world.books if book.effective_at <= world.now]
    return [steps.Rerating(world.chance.choice(known).version, start, world.now)]


def _again(world: World) -> list[steps.Happening]:
    """Kafka gives again what it gave before."""
    return [world.chance.choice(world.told)] if world.told else []

"""What customers buy, change, cancel and get back in a simulated year."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from ledger.simulation import steps
from ledger.simulation.world import CREDIT, PLANS, Held, World

DECISIONS: Final[tuple[steps.ReversalKind, ...]] = ("dispute_won", "dispute_lost")
SOLD: Final = tuple(plan for plan in PLANS.values() if not plan.is_free)
_SOON: Final = timedelta(days=3)


def bundle(world: World) -> list[steps.Happening]:
    """Credits, tokens or calls, bought once."""
    chance = world.chance
    unit: steps.Unit = chance.choice(("credit", "credit", "token", "request"))
    amounts = {
        "credit": (1, CREDIT // 100, CREDIT // 7, CREDIT, 10 * CREDIT),
        "token": (7, 40_000),
        "request": (10, 25),
    }
    amount, paid, valid_days = (
        chance.choice(amounts[unit]),
        chance.choice((1, 99, 1_000)),
        chance.choice((None, 31, 365)),
    )
    one = steps.Payment(chance.choice(world.accounts), world.name("pi"), amount, paid, valid_days, None, unit=unit)
    world.payments.append((world.now, one))
    return [one]


def plan_change(world: World) -> list[steps.Happening]:
    """Subscribe, go up or down in the middle of a period, or cancel at once."""
    chance = world.chance
    account = chance.choice(world.accounts)
    held = world.held.get(account)
    if held is None:
        made = Held(world.name("sub"), chance.choice(SOLD), world.now.replace(microsecond=0))
        world.held[account] = made
        return _with_payment(world, account, made, made.period())
    if chance.random() < 0.3:
        return cancel(world, account, held)
    others = [plan for plan in SOLD if plan is not held.plan]
    before, held.plan, held.version = held.plan, chance.choice(others), held.version + 2
    happenings = _with_payment(world, account, held, (world.now.replace(microsecond=0), held.period()[1]))
    if chance.random() < 0.3:
        # What was before comes after, and changes nothing.
        stale = steps.Subscription(account, held.subscription_id, held.version - 1, before.plan_id, True, held.period())
        happenings.append(stale)
    return happenings


def cancel(world: World, account: UUID, held: Held) -> list[steps.Happening]:
    world.held.pop(account)
    return [
        steps.Subscription(account, held.subscription_id, held.version + 1, held.plan.plan_id, False, held.period())
    ]


def renewals(world: World) -> list[steps.Happening]:
    """What billing's clock does: a period that is over is followed by the next, paid or not, at once or later."""
    for account, held in list(world.held.items()):
        ends, ahead = held.period()[1], held.period(held.number + 1)
        if ends <= world.now and world.chance.random() < 0.5:
            return _renewal(world, account, held)
        if ends - _SOON <= world.now < ends and not held.paid_ahead and world.chance.random() < 0.1:
            held.paid_ahead = True
            return [_payment(world, account, held.plan, ahead)]
    return []


def _renewal(world: World, account: UUID, held: Held) -> list[steps.Happening]:
    if world.chance.random() < 0.15:
        return cancel(world, account, held)
    held.number, held.version = held.number + 1, held.version + 1
    if held.paid_ahead:
        held.paid_ahead = False
        return [_subscription(account, held)]
    return _with_payment(world, account, held, held.period())


def _with_payment(world: World, account: UUID, held: Held, period: steps.Span) -> list[steps.Happening]:
    """A subscription's news and its money, in any order; the money may come much later, or be told twice."""
    news, payment = _subscription(account, held), _payment(world, account, held.plan, period)
    luck = world.chance.random()
    if luck < 0.2:
        world.delayed.append(payment)
        return [news]
    if luck < 0.3:
        return [news, payment, _payment(world, account, held.plan, period)]
    return [payment, news] if luck < 0.5 else [news, payment]


def _subscription(account: UUID, held: Held) -> steps.Subscription:
    return steps.Subscription(account, held.subscription_id, held.version, held.plan.plan_id, True, held.period())


def _payment(world: World, account: UUID, plan: steps.Plan, period: steps.Span) -> steps.Payment:
    one = steps.Payment(account, world.name("pi"), plan.amount, plan.price_minor, None, period, plan.unit, plan.plan_id)
    world.payments.append((world.now, one))
    return one


def delayed_payment(world: World) -> list[steps.Happening]:
    if not world.delayed:
        return []
    return [world.delayed.pop(world.chance.randrange(len(world.delayed)))]


def settings(world: World) -> list[steps.Happening]:
    """A ceiling for what is billed later; sometimes told after a newer one."""
    chance = world.chance
    account = chance.choice(world.accounts)
    version = world.settings.get(account, 0) + 2
    world.settings[account] = version
    made = [
        steps.Settings(account, number, chance.choice((None, 0, 1_000_003, CREDIT // 5)), chance.random() < 0.7)
        for number in (version, version - 1)
    ]
    return list(made) if chance.random() < 0.3 else [made[0]]


def refund(world: World) -> list[steps.Happening]:
    return _reversal(world, "re", "refund")


def dispute(world: World) -> list[steps.Happening]:
    """Opened; later won or lost, or heard of in the wrong order."""
    chance = world.chance
    if world.disputes and chance.random() < 0.6:
        opened = world.disputes.pop(chance.randrange(len(world.disputes)))
        kind = chance.choice(DECISIONS)
        return [steps.Reversal(opened.account, opened.payment_id, opened.reversal_id, kind, opened.minor)]
    made = _reversal(world, "dp", "dispute_opened")
    world.disputes += [one for one in made if isinstance(one, steps.Reversal)]
    return made


def _reversal(world: World, prefix: str, kind: steps.ReversalKind) -> list[steps.Happening]:
    waiting = {one.payment_id for one in world.delayed if isinstance(one, steps.Payment)}
    recent = [
        one for at, one in world.payments if world.now - at < timedelta(days=60) and one.payment_id not in waiting
    ]
    if not recent:
        return []
    payment = world.chance.choice(recent)
    minor = max(1, payment.paid_minor // world.chance.choice((1, 1, 2, 3)))
    return [steps.Reversal(payment.account, payment.payment_id, world.name(prefix), kind, minor)]


def adjustment(world: World) -> list[steps.Happening]:
    amount = world.chance.choice((CREDIT // 10, 3, -CREDIT // 20, -CREDIT))
    return [steps.Adjustment(world.chance.choice(world.accounts), amount, world.chance.choice((None, 9)))]


def call_refund(world: World) -> list[steps.Happening]:
    """An operator gives back one of the last calls, whole or a part, sometimes more than it cost."""
    if not world.calls:
        return []
    call = world.chance.choice(world.calls[-60:])
    return [steps.CallRefund(call.account, call.call_id, world.chance.choice((None, None, 1, 777_777, CREDIT)))]

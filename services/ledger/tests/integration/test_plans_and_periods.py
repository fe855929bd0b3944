"""Plans that give per period: calendars, roll-over, changes in mid-period, expiry and what is booked back."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from factories import Factory
from harness import Ledger

from contracts.billing import Allowance, SoftLimit
from contracts.gateway import Allocation
from contracts.money import Unit
from contracts.terms import OverageTerms, Terms
from kit.clock import ManualClock
from ledger.service.renewing import Renewal, Renewing

TOKENS = 100_000
MONTH_S = 30 * 86_400


def monthly(amount: int = TOKENS, **more: Any) -> Allowance:
    return Allowance(rule="monthly", unit=Unit.TOKEN, amount=amount, **more)


def free(**more: Any) -> dict[str, Any]:
    """The seeds' Free plan: 100,000 tokens a month, then blocked."""
    terms = Terms(unit=Unit.TOKEN)
    return {"renewal": "ledger", "interval": "month", "terms": terms, "allowances": (monthly(),), **more}


@pytest.fixture
async def ledger(bare_ledger: Ledger, clock: ManualClock) -> Any:
    """A ledger without plans, on the 31st of January; every test ends with balanced books."""
    clock.instant = datetime(2027, 1, 31, 10, tzinfo=UTC)
    await bare_ledger.publish_prices()
    yield bare_ledger
    books = await bare_ledger.books()
    assert books.balanced, books.differences


async def activated(ledger: Ledger, make: Factory, **plan: Any) -> UUID:
    account_id = uuid4()
    await ledger.deliver(make.plan("free", **(plan or free())))
    await ledger.deliver(make.created(account_id), make.activated(account_id))
    return account_id


async def keep_house(ledger: Ledger) -> None:
    """What the background task does."""
    await Renewal(ledger.database, Renewing(ledger.catalogue, ledger.clock), ledger.clock).once()


async def left(ledger: Ledger, account_id: UUID, unit: str = "token") -> int:
    grants = (await ledger.balance(account_id)).grants
    return sum(grant.remaining for grant in grants if grant.unit == unit and grant.valid_at(ledger.clock.now()))


def call(make: Factory, account_id: UUID, tokens: int, **more: Any) -> Any:
    return make.usage(account_id, tokens=tokens, **{"plan_id": "free", **more})


async def test_a_free_plan_gives_this_period_and_the_next_ahead_and_slices_hold_both(
    ledger: Ledger, make: Factory, clock: ManualClock
) -> None:
    account_id = await activated(ledger, make)

    pieces = (await ledger.snapshots(account_id))[-1]["slices"]
    starts = [(piece["unit"], piece["amount"], piece["starts_at"], piece["expires_at"]) for piece in pieces]
    assert starts == [
        ("token", "100000", "2027-01-31T10:00:00Z", "2027-02-28T10:00:00Z"),
        ("token", "100000", "2027-02-28T10:00:00Z", "2027-03-31T10:00:00Z"),
    ]
    clock.instant = datetime(2027, 2, 28, 10, tzinfo=UTC)
    assert await left(ledger, account_id) == TOKENS, "no job has run"


async def test_periods_from_the_31st_do_not_drift_and_each_is_granted_once(
    ledger: Ledger, make: Factory, clock: ManualClock
) -> None:
    """(Polar #10664, openmeter #1408, #4252)."""
    account_id = await activated(ledger, make)
    for _ in range(14):
        clock.advance(MONTH_S)
        await keep_house(ledger)
        await keep_house(ledger)
        await ledger.deliver(call(make, account_id, 10))

    closed = await ledger.sent("ledger.period-closed.v1", account_id)
    ends = [datetime.fromisoformat(one["period_end"]).date().isoformat() for one in closed]
    assert ends[:4] == ["2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31"]
    assert len(ends) == len(set(ends))
    grants = await ledger.rows('SELECT period FROM "grant" WHERE account_id = :id', id=account_id)
    assert len({row.period for row in grants}) == len(grants) == len(ends) + 2


async def test_a_ledger_that_slept_for_months_catches_up_period_by_period(
    ledger: Ledger, make: Factory, clock: ManualClock
) -> None:
    account_id = await activated(
        ledger, make, **free(allowances=(monthly(roll_over="full"),), terms=Terms(unit=Unit.TOKEN))
    )
    clock.instant = datetime(2027, 5, 15, tzinfo=UTC)

    await ledger.deliver(call(make, account_id, 1_000))

    assert await left(ledger, account_id) == 4 * TOKENS - 1_000
    assert [one["rolled_over"] for one in await ledger.sent("ledger.period-closed.v1", account_id)] == [
        "100000",
        "200000",
        "300000",
    ]


@pytest.mark.parametrize(
    ("allowance", "carried"),
    [(monthly(), 0), (monthly(roll_over="capped", roll_over_cap=30_000), 30_000), (monthly(roll_over="full"), 60_000)],
)
async def test_what_is_left_rolls_over_as_the_plan_says_and_the_rest_is_breakage(
    ledger: Ledger, make: Factory, clock: ManualClock, allowance: Allowance, carried: int
) -> None:
    account_id = await activated(ledger, make, **free(allowances=(allowance,)))
    await ledger.deliver(call(make, account_id, 40_000))
    clock.instant = datetime(2027, 2, 28, 10, tzinfo=UTC)

    await keep_house(ledger)

    assert await left(ledger, account_id) == TOKENS + carried
    (closed,) = await ledger.sent("ledger.period-closed.v1", account_id)
    figures = [int(closed[name]) for name in ("granted", "used", "rolled_over", "expired")]
    assert figures == [TOKENS, 40_000, carried, 60_000 - carried]
    assert closed["calls"] == 1
    expiry = await ledger.rows(
        "SELECT amount, effective_at FROM transfer WHERE account_id = :id AND kind = 'expiry'", id=account_id
    )
    assert [tuple(row) for row in expiry] == ([(60_000 - carried, clock.now())] if carried < 60_000 else [])


async def test_a_late_call_burns_what_was_valid_when_it_was_admitted(
    ledger: Ledger, make: Factory, clock: ManualClock
) -> None:
    """(money.md 21): an expiry that is booked already is booked back first."""
    account_id = await activated(ledger, make)
    late = call(make, account_id, 30_000)
    clock.instant = datetime(2027, 3, 2, tzinfo=UTC)
    await keep_house(ledger)
    assert await left(ledger, account_id) == TOKENS

    await ledger.deliver(late)

    assert await left(ledger, account_id) == TOKENS
    kinds = await ledger.rows(
        "SELECT kind, amount FROM transfer WHERE account_id = :id AND kind LIKE 'expiry%' ORDER BY seq", id=account_id
    )
    assert [tuple(row) for row in kinds] == [("expiry", TOKENS), ("expiry_reversal", 30_000)]


async def test_a_late_call_takes_a_roll_over_back_only_as_far_as_it_is_not_used(
    ledger: Ledger, make: Factory, clock: ManualClock
) -> None:
    """(money.md 21): the rest burns today's."""
    account_id = await activated(ledger, make, **free(allowances=(monthly(roll_over="full"),)))
    late = call(make, account_id, 70_000)
    clock.instant = datetime(2027, 3, 2, tzinfo=UTC)
    await ledger.deliver(call(make, account_id, 150_000))

    await ledger.deliver(late)

    assert await left(ledger, account_id) == 0
    assert await ledger.debt(account_id) == 20_000 * 3450
    (charge,) = await ledger.rows("SELECT * FROM charge WHERE id = :id", id=late.id)
    assert (charge.plan_tokens, charge.price_nano) == (50_000, 20_000 * 3450)


async def test_a_call_of_the_new_period_burns_its_allocation_though_nobody_renewed_yet(
    ledger: Ledger, make: Factory, clock: ManualClock
) -> None:
    """(money.md 4, 9)."""
    account_id = await activated(ledger, make)
    ahead = (await ledger.snapshots(account_id))[-1]["slices"][1]
    clock.instant = datetime(2027, 2, 28, 10, 0, 1, tzinfo=UTC)
    held = (Allocation(slice_id=UUID(ahead["slice_id"]), unit=Unit.TOKEN, amount=5_000),)

    await ledger.deliver(call(make, account_id, 5_000, allocation=held))

    assert await left(ledger, account_id) == TOKENS - 5_000
    assert (await ledger.snapshots(account_id))[-1]["armed"] == [
        {"unit": "token", "amount": "100000", "renews_at": "2027-03-31T10:00:00Z"}
    ]


def subscribed(make: Factory, account_id: UUID, plan_id: str, **more: Any) -> Any:
    now = make.clock.now()
    values = {"current_period_start": now, "current_period_end": now + timedelta(days=28)}
    return make.subscription(account_id, status=more.pop("status", "active"), plan_id=plan_id, **{**values, **more})


def paid(make: Factory, account_id: UUID, plan_id: str, amount: int, **more: Any) -> Any:
    now = make.clock.now()
    values = {"period_start": now, "period_end": now + timedelta(days=28), "grant_unit": Unit.TOKEN}
    return make.settled(
        account_id,
        amount,
        kind="subscription",
        plan_id=plan_id,
        plan_version=1,
        valid_days=None,
        paid_minor=2_000,
        **{**values, **more},
    )


def pro(make: Factory, plan_id: str = "pro", **more: Any) -> Any:
    values = {
        "default": False,
        "renewal": "subscription",
        "interval": "month",
        "price_minor": 2_000,
        "allowances": (monthly(2_000_000),),
        "terms": Terms(unit=Unit.TOKEN, overage=OverageTerms(policy="bill", nano_per_1k_tokens=20_000_000)),
    }
    return make.plan(plan_id, **{**values, **more})


async def test_an_upgrade_takes_back_what_was_given_ahead_and_leaves_what_runs(
    ledger: Ledger, make: Factory, clock: ManualClock
) -> None:
    account_id = await activated(ledger, make)
    clock.advance(10 * 86_400)

    await ledger.deliver(pro(make), subscribed(make, account_id, "pro", version=1))
    await ledger.deliver(paid(make, account_id, "pro", 2_000_000))

    assert await left(ledger, account_id) == 2_000_000 + TOKENS
    pieces = (await ledger.snapshots(account_id))[-1]["slices"]
    assert len([piece for piece in pieces if piece["kind"] == "grant"]) == 2
    clock.advance(20 * 86_400)
    assert await left(ledger, account_id) == 2_000_000, "the free rest ended on its own day"


async def test_leaving_and_coming_back_in_one_period_gives_nothing_twice(
    ledger: Ledger, make: Factory, clock: ManualClock
) -> None:
    account_id = await activated(ledger, make)
    await ledger.deliver(call(make, account_id, 90_000))
    await ledger.deliver(pro(make), subscribed(make, account_id, "pro", version=1))
    clock.advance(86_400)

    await ledger.deliver(subscribed(make, account_id, "pro", version=2, status="canceled"))

    assert (await ledger.balance(account_id)).account.plan == ("free", 1)
    assert await left(ledger, account_id) == 10_000
    clock.instant = datetime(2027, 2, 28, 10, tzinfo=UTC)
    assert await left(ledger, account_id) == TOKENS


async def test_coming_back_to_the_free_plan_in_mid_period_gives_the_rests_share(
    ledger: Ledger, make: Factory, clock: ManualClock
) -> None:
    """Half of a period of 31 days: half of the allowance, rounded down."""
    account_id = await activated(ledger, make)
    await ledger.deliver(pro(make), subscribed(make, account_id, "pro", version=1))
    clock.instant = datetime(2027, 3, 15, 22, tzinfo=UTC)

    await ledger.deliver(subscribed(make, account_id, "pro", version=2, status="canceled"))

    assert await left(ledger, account_id) == TOKENS // 2


async def test_a_plan_changed_within_a_paid_period_gives_back_the_unused_times_share(
    ledger: Ledger, make: Factory, clock: ManualClock
) -> None:
    account_id = await activated(ledger, make, **free(allowances=()))
    start = clock.now()
    await ledger.deliver(pro(make), pro(make, "max", allowances=(monthly(9_000_000),)))
    await ledger.deliver(subscribed(make, account_id, "pro", version=1), paid(make, account_id, "pro", 2_000_000))
    await ledger.deliver(call(make, account_id, 200_000, plan_id="pro"))
    clock.advance(7 * 86_400)

    ends = {"current_period_start": start, "current_period_end": start + timedelta(days=28)}
    await ledger.deliver(subscribed(make, account_id, "max", version=2, **ends))

    assert await left(ledger, account_id) == 1_800_000 - 1_500_000
    closed = (await ledger.sent("ledger.period-closed.v1", account_id))[-1]
    assert (closed["plan_id"], closed["used"], closed["calls"]) == ("pro", "200000", 1)


async def test_a_cancelled_subscription_keeps_what_was_paid_to_its_own_end(
    ledger: Ledger, make: Factory, clock: ManualClock
) -> None:
    """(twenty #23973): the boundary is the subscription's real one."""
    account_id = await activated(ledger, make, **free(allowances=()))
    await ledger.deliver(pro(make), subscribed(make, account_id, "pro", version=1))
    await ledger.deliver(paid(make, account_id, "pro", 2_000_000))
    clock.advance(3 * 86_400)
    await ledger.deliver(subscribed(make, account_id, "pro", version=2, status="canceled"))

    assert await left(ledger, account_id) == 2_000_000
    clock.advance(25 * 86_400)
    assert await left(ledger, account_id) == 0


async def test_subscribing_again_is_a_new_period_and_a_new_grant(
    ledger: Ledger, make: Factory, clock: ManualClock
) -> None:
    account_id = await activated(ledger, make, **free(allowances=()))
    await ledger.deliver(pro(make), subscribed(make, account_id, "pro", version=1))
    await ledger.deliver(paid(make, account_id, "pro", 2_000_000))
    await ledger.deliver(subscribed(make, account_id, "pro", version=2, status="canceled"))
    clock.advance(86_400)

    again = subscribed(make, account_id, "pro", version=1, subscription_id="sub_again")
    await ledger.deliver(again, paid(make, account_id, "pro", 2_000_000))

    assert await left(ledger, account_id) == 4_000_000
    account = (await ledger.balance(account_id)).account
    assert (account.period_start, account.subscription_id) == (clock.now(), "sub_again")


@pytest.mark.parametrize(("then", "limited"), [("warn", 60), ("throttle", 5), ("block", 60)])
async def test_fair_use_warns_slows_or_blocks_until_the_period_is_over(
    ledger: Ledger, make: Factory, clock: ManualClock, then: Any, limited: int
) -> None:
    limit = SoftLimit(unit=Unit.REQUEST, amount=3, then=then, throttled_requests_per_minute=5)
    account_id = await activated(ledger, make, **free(soft_limits=(limit,)))
    await ledger.deliver(*(call(make, account_id, 10) for _ in range(2)))
    assert not await ledger.sent("ledger.threshold-crossed.v1", account_id)

    await ledger.deliver(call(make, account_id, 10))
    await ledger.deliver(call(make, account_id, 10))

    crossed = await ledger.sent("ledger.threshold-crossed.v1", account_id)
    assert [(one["level"], one["base"], one["at"]) for one in crossed] == [("soft_limit", "3", then)]
    last = (await ledger.snapshots(account_id))[-1]
    assert last["limits"]["requests_per_minute"] == limited
    usable = [piece for piece in last["slices"] if piece["starts_at"] <= "2027-02-01"]
    assert bool(usable) is (then != "block")
    clock.instant = datetime(2027, 2, 28, 10, tzinfo=UTC)
    await keep_house(ledger)
    fresh = (await ledger.snapshots(account_id))[-1]
    assert fresh["limits"]["requests_per_minute"] == 60
    assert fresh["slices"][0]["starts_at"] == "2027-02-28T10:00:00Z"


async def test_a_trial_that_ends_is_booked_as_breakage_by_housekeeping_once(
    ledger: Ledger, make: Factory, clock: ManualClock
) -> None:
    trial = Allowance(rule="trial", unit=Unit.CREDIT, amount=5 * 10**9, valid_days=14)
    account_id = await activated(ledger, make, allowances=(trial,))
    clock.advance(15 * 86_400)

    await keep_house(ledger)
    await keep_house(ledger)

    rows = await ledger.rows(
        "SELECT target, amount, booked_at - effective_at FROM transfer WHERE account_id = :id AND kind = 'expiry'",
        id=account_id,
    )
    assert [tuple(row) for row in rows] == [("breakage", 5 * 10**9, timedelta(days=1))]


async def test_a_refund_of_what_expired_unused_is_no_debt(ledger: Ledger, make: Factory, clock: ManualClock) -> None:
    """(money.md 23): only what was spent becomes debt."""
    account_id = await activated(ledger, make)
    payment = make.settled(account_id, 10 * 10**9, valid_days=10)
    await ledger.deliver(payment)
    clock.advance(11 * 86_400)
    await keep_house(ledger)

    await ledger.deliver(make.reversed(payment, "refund"))

    assert await ledger.debt(account_id) == 0
    rows = await ledger.rows(
        "SELECT kind FROM transfer WHERE account_id = :id AND unit = 'credit' ORDER BY seq", id=account_id
    )
    assert [row.kind for row in rows] == ["topup", "expiry", "expiry_reversal", "refund"]

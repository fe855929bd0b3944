"""Margins below the operator's floor: told once per day and subject."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from factories import CALL_NANO, CREDIT, Factory
from harness import Ledger

from ledger.domain.margins import Margin, spread_fees
from ledger.service.margins import watch_margins
from ledger.service.refunding import Refund, Refunding
from ledger.service.reporting import MarginQuery, Reporting

NewAccount = Callable[[], Awaitable[UUID]]


def margin(revenue_nano: int, cost_nano: int, fee_nano: int = 0) -> Margin:
    return Margin(
        subject="m",
        calls=1,
        price_nano=revenue_nano,
        value_nano=revenue_nano,
        revenue_nano=revenue_nano,
        cost_nano=cost_nano,
        fee_nano=fee_nano,
    )


@pytest.mark.parametrize(
    ("one", "floor_bps", "is_below"),
    [
        (margin(100, 50), 5_000, False),
        (margin(100, 50, 1), 5_000, True),
        (margin(10**15, 10**15 // 2 + 1), 5_000, True),
        (margin(0, 0), 5_000, False),
        (margin(0, 1), -10_000, True),
        (margin(100, 150), -5_000, False),
    ],
)
def test_a_margin_is_held_against_the_floor_exactly(*, one: Margin, floor_bps: int, is_below: bool) -> None:
    assert one.is_below(floor_bps) is is_below


def test_fees_are_spread_by_revenue_and_never_short() -> None:
    assert spread_fees(100, [1, 1, 1], whole=3) == [34, 34, 34]
    assert spread_fees(100, [0, 5], whole=10) == [0, 50]
    assert spread_fees(100, [0], whole=0) == [0]


async def test_a_day_below_the_floor_is_told_once_for_each_subject(bare_ledger: Ledger, make: Factory) -> None:
    account_id = UUID(int=7)
    await bare_ledger.deliver(make.plan(), make.created(account_id), make.activated(account_id))
    await bare_ledger.deliver(make.settled(account_id, 10 * CREDIT))
    # The trial's credits burn first: they bring nothing and cost all the same.
    await bare_ledger.deliver(make.usage(account_id))
    ledger, day = bare_ledger, bare_ledger.clock.now().date()

    async def look() -> int:
        async with ledger.database.transaction() as session:
            return await watch_margins(session, ledger.clock, floor_bps=5_000)

    assert await look() == 0, "the day is not over"
    ledger.clock.advance(24 * 3600.0)
    assert await look() == 3
    assert await look() == 0
    ledger.clock.advance(24 * 3600.0)
    assert await look() == 0, "a day without calls"

    told = await ledger.sent("ledger.margin-fell.v1")
    assert {(one["scope"], one["subject"]) for one in told} == {
        ("plan", "trial"),
        ("model", "claude-sonnet-4-5"),
        ("account", str(account_id)),
    }
    assert {one["window_start"][:10] for one in told} == {day.isoformat()}
    assert {one["window_end"][:10] for one in told} == {(day + timedelta(days=1)).isoformat()}
    assert {one["revenue_nano"] for one in told} == {"0"}
    assert all(int(one["cost_nano"]) > 0 for one in told)


async def test_what_is_refunded_was_not_earned_and_cost_all_the_same(bare_ledger: Ledger, make: Factory) -> None:
    """(money.md 3, 23)."""
    account_id, ledger = uuid4(), bare_ledger
    await ledger.deliver(make.plan("paid", allowances=()), make.created(account_id), make.activated(account_id))
    calls = [make.usage(account_id, plan_id="paid") for _ in range(2)]
    await ledger.deliver(make.settled(account_id, 20 * CREDIT, paid_minor=1_000), *calls)
    day = ledger.clock.now().date()

    async def seen() -> tuple[int, int, int]:
        query = MarginQuery(scope="plan", first=day, last=day + timedelta(days=1), after=None, limit=10)
        async with ledger.database.reading() as session:
            (one,) = await Reporting(ledger.clock).margins(session, query)
        return one.revenue_nano, one.cost_nano, one.calls

    # Half a dollar was paid for a credit.
    assert await seen() == (CALL_NANO, 6_000_000, 2)
    for amount_nano, revenue_nano in ((CALL_NANO // 3, CALL_NANO - CALL_NANO // 6), (None, CALL_NANO // 2)):
        wanted = Refund(
            account_id=account_id, request_id=calls[0].id, amount_nano=amount_nano, reason="a", actor_user_id=uuid4()
        )
        async with ledger.database.transaction() as session:
            await Refunding(ledger.catalogue, ledger.clock).refund_call(session, wanted)
        assert await seen() == (revenue_nano, 6_000_000, 2)

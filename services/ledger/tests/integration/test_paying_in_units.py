"""Tokens, requests, credits, overage and debt: what pays for a call, and what the books and gateways hear of it."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from factories import CREDIT, Factory
from harness import Ledger
from paying import PER_1K, NewAccount, billed, charge_of, keep_house, moved, settings, subscribed

from contracts.auth import MemberChanged, ProjectChanged
from contracts.gateway import Allocation
from contracts.money import Unit
from contracts.terms import Budget, OverageTerms, PaymentProblem, Terms, TokenWeight
from kit.clock import ManualClock
from ledger.domain.thresholds import Levels
from ledger.service.accounts import Accounts

PER_TOKEN = 3450


@pytest.fixture
def plan_id() -> str:
    return f"plan-{uuid4()}"


async def test_tokens_pay_their_share_and_overage_the_rest_by_the_plans_rate(
    ledger: Ledger, make: Factory, account: NewAccount, plan_id: str
) -> None:
    """(money.md 20)."""
    account_id = await subscribed(ledger, make, account, billed(make, plan_id))
    await ledger.deliver(settings(make, account_id, overage_ceiling_nano=CREDIT))
    call = make.usage(account_id, tokens=12_345, plan_id=plan_id)

    await ledger.deliver(call)

    owed = -(-2_345 * PER_1K // 1_000)
    assert await moved(ledger, call) == [
        ("grant", "used", "token", 10_000),
        ("receivable", "revenue", "credit", owed),
    ]
    charge = await charge_of(ledger, call)
    assert (charge.plan_tokens, charge.price_nano, charge.overage_nano) == (10_000, owed, owed)
    last = (await ledger.snapshots(account_id))[-1]
    assert last["overage_room_nano"] == str(CREDIT - owed)
    assert [(one["kind"], one["amount"]) for one in last["slices"]] == [
        ("overage", str(CREDIT - owed)),
        ("overage", str(CREDIT)),
    ]
    assert await ledger.debt(account_id) == 0


async def test_overage_stops_at_the_ceiling_is_told_once_and_the_rest_is_debt(
    ledger: Ledger, make: Factory, account: NewAccount, plan_id: str
) -> None:
    """(money.md 20, 25)."""
    account_id = await subscribed(ledger, make, account, billed(make, plan_id), grants=1)
    await ledger.deliver(settings(make, account_id, overage_ceiling_nano=10 * PER_1K))
    calls = [make.usage(account_id, tokens=8_000, plan_id=plan_id) for _ in range(2)]

    await ledger.deliver(calls[0])
    await ledger.deliver(calls[1])
    await ledger.deliver(make.usage(account_id, tokens=1, plan_id=plan_id))

    crossed = await ledger.sent("ledger.threshold-crossed.v1", account_id)
    assert [one["level"] for one in crossed if one["level"] == "overage_ceiling"] == ["overage_ceiling"]
    assert (await ledger.balance(account_id)).account.period_overage_nano == 10 * PER_1K
    assert await ledger.debt(account_id) > 0
    assert not (await ledger.snapshots(account_id))[-1]["overage_room_nano"].strip("0")


async def test_overage_near_its_ceiling_is_told_once_before_it_is_reached(
    ledger: Ledger, make: Factory, account: NewAccount, plan_id: str
) -> None:
    account_id = await subscribed(ledger, make, account, billed(make, plan_id), grants=1)
    await ledger.deliver(settings(make, account_id, overage_ceiling_nano=10 * PER_1K))
    for _ in range(12):
        await ledger.deliver(make.usage(account_id, tokens=1_000, plan_id=plan_id))

    crossed = await ledger.sent("ledger.threshold-crossed.v1", account_id)
    told = [int(one["available"]) for one in crossed if one["level"] == "overage_ceiling"]
    assert len(told) == 2
    assert 0 < told[0] <= 2 * PER_1K
    assert told[1] == 0


async def test_without_a_ceiling_overage_is_what_the_plan_costs_if_it_can_be_paid_at_all(
    ledger: Ledger, make: Factory, account: NewAccount, plan_id: str
) -> None:
    account_id = await subscribed(ledger, make, account, billed(make, plan_id))
    assert (await ledger.snapshots(account_id))[-1]["overage_room_nano"] == "0"

    await ledger.deliver(settings(make, account_id, version=2, has_payment_method=True))
    assert (await ledger.snapshots(account_id))[-1]["overage_room_nano"] == str(10 * CREDIT)
    await ledger.deliver(settings(make, account_id, version=1, overage_ceiling_nano=0))

    assert (await ledger.snapshots(account_id))[-1]["overage_room_nano"] == str(10 * CREDIT), "older settings"


async def test_gateways_hear_why_nothing_can_be_charged_until_something_can(
    ledger: Ledger, make: Factory, account: NewAccount, plan_id: str
) -> None:
    account_id = await subscribed(ledger, make, account, billed(make, plan_id))
    problem = PaymentProblem(reason="insufficient_funds", card_brand="visa", card_last4="0341")
    assert (await ledger.snapshots(account_id))[-1]["payment_problem"] is None

    await ledger.deliver(settings(make, account_id, version=2, payment_problem=problem))
    await ledger.deliver(settings(make, account_id, version=1))
    declined = (await ledger.snapshots(account_id))[-1]
    await ledger.deliver(settings(make, account_id, version=3))

    assert declined["payment_problem"] == problem.model_dump(), "older settings change nothing"
    assert (await ledger.snapshots(account_id))[-1]["payment_problem"] is None


async def test_an_hour_of_overage_is_announced_once_it_is_over_and_late_calls_take_the_next_sequence(
    ledger: Ledger, make: Factory, account: NewAccount, plan_id: str, clock: ManualClock
) -> None:
    """(money.md 32; nyrkio #839)."""
    account_id = await subscribed(ledger, make, account, billed(make, plan_id), grants=1)
    await ledger.deliver(settings(make, account_id, overage_ceiling_nano=CREDIT))
    late = make.usage(account_id, tokens=700, plan_id=plan_id)
    await ledger.deliver(make.usage(account_id, tokens=1_501, plan_id=plan_id))
    await keep_house(ledger)
    assert not await ledger.sent("ledger.overage-accrued.v1", account_id)

    clock.advance(3_600 + 300)
    await keep_house(ledger)
    await keep_house(ledger)
    await ledger.deliver(late)
    await keep_house(ledger)

    sent = await ledger.sent("ledger.overage-accrued.v1", account_id)
    assert [(one["sequence"], one["unit"], one["quantity"], one["late"]) for one in sent] == [
        (1, "token", "1", False),
        (2, "token", "1", True),
    ]
    assert [int(one["amount_nano"]) for one in sent] == [1_500 * PER_1K // 1_000, 700 * PER_1K // 1_000]
    assert len({one["hour"] for one in sent}) == 1
    assert (await ledger.balance(account_id)).account.overage_carry == 200 * PER_1K // 1_000


async def test_a_warning_plan_books_the_excess_at_nothing(
    ledger: Ledger, make: Factory, account: NewAccount, plan_id: str
) -> None:
    """(money.md 20)."""
    terms = Terms(unit=Unit.TOKEN, overage=OverageTerms(policy="warn"))
    account_id = await subscribed(ledger, make, account, billed(make, plan_id, terms=terms), grants=100)
    call, beyond = (make.usage(account_id, tokens=1_000, plan_id=plan_id) for _ in range(2))

    await ledger.deliver(call)
    await ledger.deliver(beyond)

    assert await moved(ledger, call) == [("grant", "used", "token", 100)]
    assert await moved(ledger, beyond) == []
    (cost,) = await ledger.rows("SELECT source FROM transfer WHERE charge_id = :id", id=beyond.id)
    assert cost.source == "goodwill"
    assert await ledger.debt(account_id) == 0


async def test_a_bundle_of_requests_pays_a_call_each_up_to_its_highest_price(
    ledger: Ledger, make: Factory, account: NewAccount, plan_id: str
) -> None:
    """(money.md 20): what a call costs beyond it is paid in credits."""
    terms = Terms(unit=Unit.REQUEST, request_max_price_nano=1_000 * PER_TOKEN)
    account_id = await account()
    await ledger.deliver(make.plan(plan_id, default=False, terms=terms))
    await ledger.deliver(
        make.settled(account_id, 2, grant_unit=Unit.REQUEST, offer_id="calls-10"),
        make.subscription(account_id, version=1, status="active", plan_id=plan_id),
    )
    calls = [make.usage(account_id, tokens=tokens, plan_id=plan_id) for tokens in (900, 1_300, 100)]

    for call in calls:
        await ledger.deliver(call)

    assert [await moved(ledger, call) for call in calls] == [
        [("grant", "used", "request", 1)],
        [("grant", "used", "request", 1), ("grant", "revenue", "credit", 300 * PER_TOKEN)],
        [("grant", "revenue", "credit", 100 * PER_TOKEN)],
    ]
    charges = [await charge_of(ledger, call) for call in calls]
    assert [(one.plan_requests, one.price_nano) for one in charges] == [
        (1, 0),
        (1, 300 * PER_TOKEN),
        (0, 100 * PER_TOKEN),
    ]


async def test_a_calls_allocation_is_burnt_first_in_whatever_order_calls_end(
    ledger: Ledger, make: Factory, account: NewAccount, plan_id: str
) -> None:
    """(money.md 9): the one that was admitted on credits leaves the tokens to the one that holds them."""
    plan = billed(make, plan_id, terms=Terms(unit=Unit.TOKEN))
    account_id = await subscribed(ledger, make, account, plan, grants=1_000)
    await ledger.deliver(make.settled(account_id, 10 * CREDIT))
    tokens, credit = (UUID(one["slice_id"]) for one in (await ledger.snapshots(account_id))[-1]["slices"])
    on_tokens = make.usage(
        account_id,
        tokens=1_000,
        plan_id=plan_id,
        allocation=(Allocation(slice_id=tokens, unit=Unit.TOKEN, amount=1_000),),
    )
    on_credits = make.usage(
        account_id,
        tokens=1_000,
        plan_id=plan_id,
        allocation=(Allocation(slice_id=credit, unit=Unit.CREDIT, amount=CREDIT),),
    )

    await ledger.deliver(on_credits)
    await ledger.deliver(on_tokens)

    assert await moved(ledger, on_credits) == [("grant", "revenue", "credit", 1_000 * PER_TOKEN)]
    assert await moved(ledger, on_tokens) == [("grant", "used", "token", 1_000)]


@pytest.mark.parametrize(("tokens", "left_nano", "debt_nano"), [(100, 4_999_655_000, 0), (2_000_000, 0, 1_900_000_000)])
async def test_a_confirmation_larger_than_what_was_pending_burns_on_and_the_rest_is_debt(
    ledger: Ledger, make: Factory, account: NewAccount, tokens: int, left_nano: int, debt_nano: int
) -> None:
    """(money.md 8, 9, 20): pay per use. What is held for a call is pending, its event confirms it, once."""
    account_id = await account()
    trial = UUID((await ledger.snapshots(account_id))[-1]["slices"][0]["slice_id"])
    held = (Allocation(slice_id=trial, unit=Unit.CREDIT, amount=300_000),)
    call = make.usage(account_id, tokens=tokens, allocation=held)

    await ledger.deliver(call)
    await ledger.deliver(call)

    assert await ledger.debt(account_id) == debt_nano
    assert await ledger.available(account_id) == left_nano
    assert str(call.id) in {one for sent in await ledger.snapshots(account_id) for one in sent["applied"]}
    assert (await charge_of(ledger, call)).price_nano == tokens * 3450


async def test_tokens_are_weighed_as_the_stamped_plan_version_says(
    ledger: Ledger, make: Factory, account: NewAccount, plan_id: str
) -> None:
    """(money.md 19, 20)."""
    account_id = await subscribed(ledger, make, account, billed(make, plan_id, terms=Terms(unit=Unit.TOKEN)))
    heavy = Terms(unit=Unit.TOKEN, weights=(TokenWeight(token_class="input", hundredths=250),))
    newer = make.usage(account_id, tokens=11, plan_id=plan_id, plan_version=2)
    await ledger.deliver(newer)
    assert not await ledger.rows("SELECT 1 FROM charge WHERE id = :id", id=newer.id), "its plan version is unknown"

    await ledger.deliver(billed(make, plan_id, version=2, terms=heavy))
    older = make.usage(account_id, tokens=11, plan_id=plan_id)
    await ledger.deliver(older)

    assert ((await charge_of(ledger, newer)).plan_tokens, (await charge_of(ledger, older)).plan_tokens) == (28, 11)


async def test_what_is_recognised_of_a_bought_grant_adds_up_to_what_was_paid(
    ledger: Ledger, make: Factory, account: NewAccount, plan_id: str
) -> None:
    """(money.md 3)."""
    account_id = await subscribed(ledger, make, account, billed(make, plan_id, terms=Terms(unit=Unit.TOKEN)), grants=7)
    calls = [make.usage(account_id, tokens=1, plan_id=plan_id) for _ in range(7)]

    await ledger.deliver(*calls[:3])
    await ledger.deliver(*calls[3:])

    recognised = [(await charge_of(ledger, call)).recognised_nano for call in calls]
    assert sum(recognised) == 10 * CREDIT
    assert max(recognised) - min(recognised) <= 1


async def test_budgets_count_prices_in_their_window_whatever_pays_and_follow_their_owner(
    ledger: Ledger, make: Factory, account: NewAccount, plan_id: str, clock: ManualClock
) -> None:
    """(litellm #34733): rebuilt from the ledger, under the account's lock."""
    account_id = await subscribed(ledger, make, account, billed(make, plan_id, terms=Terms(unit=Unit.TOKEN)))
    project, user = uuid4(), uuid4()
    before = make.usage(account_id, tokens=100, plan_id=plan_id, project_id=project)
    await ledger.deliver(before)
    daily = (Budget(window="day", limit_nano=CREDIT), Budget(window="total", limit_nano=9 * CREDIT))
    await ledger.deliver(
        _project(make, account_id, project, version=2, budgets=daily),
        _project(make, account_id, project, version=1, budgets=()),
        _member(make, account_id, user, version=1, budgets=(Budget(window="month", limit_nano=5),)),
    )
    await ledger.deliver(make.usage(account_id, tokens=10, plan_id=plan_id, project_id=project, user_id=user))

    def spent(last: dict[str, Any]) -> dict[tuple[str, str], int]:
        return {(one["scope"], one["window"]): int(one["spent_nano"]) for one in last["budgets"]}

    last = (await ledger.snapshots(account_id))[-1]
    assert spent(last) == {
        ("project", "day"): 110 * PER_TOKEN,
        ("project", "total"): 110 * PER_TOKEN,
        ("member", "month"): 10 * PER_TOKEN,
    }
    clock.advance(86_400)
    await ledger.deliver(make.usage(account_id, tokens=1, plan_id=plan_id, project_id=project))
    last = (await ledger.snapshots(account_id))[-1]
    assert (spent(last)["project", "day"], spent(last)["project", "total"]) == (PER_TOKEN, 111 * PER_TOKEN)
    resets = {one["window"]: one["resets_at"] for one in last["budgets"]}
    assert resets == {"day": "2026-11-23T00:00:00Z", "month": "2026-12-01T00:00:00Z", "total": None}

    await ledger.deliver(_project(make, account_id, project, version=3, state="archived", budgets=daily))
    assert [one["scope"] for one in (await ledger.snapshots(account_id))[-1]["budgets"]] == ["member"]


def _project(make: Factory, account_id: UUID, project_id: UUID, **more: Any) -> ProjectChanged:
    values = {"state": "active", **more}
    return ProjectChanged(id=uuid4(), time=make.clock.now(), account_id=account_id, project_id=project_id, **values)


def _member(make: Factory, account_id: UUID, user_id: UUID, **more: Any) -> MemberChanged:
    values = {"state": "active", "role": "user", **more}
    return MemberChanged(id=uuid4(), time=make.clock.now(), account_id=account_id, user_id=user_id, **values)


async def test_thresholds_of_tokens_are_told_once_and_armed_by_new_tokens_only(
    ledger: Ledger, make: Factory, account: NewAccount, plan_id: str
) -> None:
    """(money.md 25): a batch that passes several levels tells each."""
    account_id = await subscribed(ledger, make, account, billed(make, plan_id, terms=Terms(unit=Unit.TOKEN)))
    await ledger.deliver(make.usage(account_id, tokens=9_100, plan_id=plan_id))
    await ledger.deliver(make.settled(account_id, CREDIT))
    await ledger.deliver(make.usage(account_id, tokens=100, plan_id=plan_id))

    def told(events: list[dict[str, Any]]) -> list[str]:
        return [one["level"] for one in events if one["unit"] == "token"]

    crossed = await ledger.sent("ledger.threshold-crossed.v1", account_id)
    assert told(crossed) == ["percent_25", "percent_10"]
    await ledger.deliver(make.settled(account_id, 100, grant_unit=Unit.TOKEN))
    await ledger.deliver(make.usage(account_id, tokens=700, plan_id=plan_id))
    crossed = await ledger.sent("ledger.threshold-crossed.v1", account_id)
    assert told(crossed) == ["percent_25", "percent_10", "percent_25"]
    assert len({one["event_id"] for one in crossed}) == len(crossed)


async def test_levels_are_the_customers_to_set(
    ledger: Ledger, make: Factory, account: NewAccount, clock: ManualClock
) -> None:
    account_id = await account()
    levels = Levels(percent=(50,), credits_nano=(3 * CREDIT,), days_left=(30,), spend_spike_percent=300)
    async with ledger.database.transaction() as session:
        await Accounts(ledger.catalogue, clock).set_levels(session, account_id, levels)
    for day in range(4):
        await ledger.deliver(make.usage(account_id, tokens=CREDIT // 10 // PER_TOKEN * (1 if day < 3 else 10)))
        clock.advance(86_400 if day < 3 else 1)
    await ledger.deliver(make.usage(account_id, tokens=CREDIT * 8 // 10 // PER_TOKEN))

    await keep_house(ledger)
    await keep_house(ledger)

    crossed = await ledger.sent("ledger.threshold-crossed.v1", account_id)
    assert sorted((one["level"], one["at"]) for one in crossed) == [
        ("credits", "3000000000"),
        ("days_left", "30"),
        ("spend_spike", "300"),
    ]


async def test_a_markup_that_was_agreed_with_a_customer_holds_for_every_model(
    ledger: Ledger, account: NewAccount, clock: ManualClock
) -> None:
    account_id = await account()
    async with ledger.database.transaction() as session:
        await Accounts(ledger.catalogue, clock).set_markup(session, account_id, 700)
    assert (await ledger.snapshots(account_id))[-1]["markup_bps"] == 700

    async with ledger.database.transaction() as session:
        await Accounts(ledger.catalogue, clock).set_markup(session, account_id, None)
    assert (await ledger.snapshots(account_id))[-1]["markup_bps"] == 1500


async def test_a_disputed_payment_is_held_until_the_dispute_is_decided(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    """(money.md 23; eliza #10997, #31449): in the grant's own unit."""
    account_id = await account()
    lost, won = (make.settled(account_id, 1_000, grant_unit=Unit.TOKEN) for _ in range(2))
    await ledger.deliver(lost, won)
    for payment in (lost, won):
        await ledger.deliver(make.reversed(payment, "dispute_opened", reversal_id="dp"))
    held = "SELECT source, target, unit, amount, kind FROM transfer WHERE account_id = :id AND {} ORDER BY seq"
    rows = await ledger.rows(held.format("target = 'disputes_held'"), id=account_id)
    assert [(row.unit, row.amount) for row in rows] == [("token", 1_000)] * 2

    await ledger.deliver(make.reversed(lost, "dispute_lost", reversal_id="dp"))
    await ledger.deliver(make.reversed(won, "dispute_won", reversal_id="dp"))

    rows = await ledger.rows(held.format("source = 'disputes_held'"), id=account_id)
    assert [(row.target.partition(":")[0], row.unit, row.amount) for row in rows] == [
        ("stripe_clearing", "token", 1_000),
        ("grant", "token", 1_000),
    ]

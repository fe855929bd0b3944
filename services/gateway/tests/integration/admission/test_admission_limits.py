"""Rates, concurrency leases and budgets, decided in the same script (money.md 10)."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from contracts.terms import BudgetState, Limits
from gateway.admission import AddressLimits, Amounts, Sweeper
from kit.clock import SystemClock


def budget(scope, scope_id, limit, *, window="day", spent=0, resets_in_s=3600.0):
    resets_at = None if resets_in_s is None else datetime.now(UTC) + timedelta(seconds=resets_in_s)
    return BudgetState(
        scope=scope, scope_id=scope_id, window=window, limit_nano=limit, spent_nano=spent, resets_at=resets_at
    )


async def test_requests_per_minute_are_a_bucket_that_drains_and_a_refused_call_burns_nothing(gateways, ledger, call):
    admission = await gateways.make()
    books = ledger.open(10**6, limits=Limits(requests_per_minute=600))
    answers = [await admission.admit(call(books.account_id, 1)) for _ in range(3)]
    assert answers[0].limits.requests.limit == 600
    assert [answer.limits.requests.remaining for answer in answers] == [599, 598, 597]
    state = f"{{{books.account_id.hex}}}:state"
    _, since = (await gateways.redis("HGET", state, "rates")).split(b"|", 1)
    await gateways.redis("HSET", state, "rates", f"{600 * 60_000}|{since.decode()}")

    refused = [await admission.admit(call(books.account_id, 1)) for _ in range(5)]

    assert {answer.reason for answer in refused} == {"requests_per_minute"}
    assert refused[0].limit == "requests_per_minute"
    assert all(0 < answer.retry_after_s <= 0.1 for answer in refused)  # one comes every 100 ms
    assert refused[0].limits.requests.remaining == 0
    await asyncio.sleep(0.12)
    assert (await admission.admit(call(books.account_id, 1))).reserved_nano == 1


async def test_tokens_per_minute_are_held_as_estimated_and_corrected_at_the_end(gateways, ledger, call):
    admission = await gateways.make()
    books = ledger.open(10**6, limits=Limits(tokens_per_minute=1000))

    first = await admission.admit(call(books.account_id, amounts=Amounts(1, rate_tokens=900)))
    refused = await admission.admit(call(books.account_id, amounts=Amounts(1, rate_tokens=500)))
    never = await admission.admit(call(books.account_id, amounts=Amounts(1, rate_tokens=1001)))
    assert (refused.reason, refused.limit, never.retry_after_s) == ("tokens_per_minute", "tokens_per_minute", None)
    assert refused.retry_after_s == pytest.approx(24, abs=1)
    free = await admission.admit(call(books.account_id, amounts=Amounts(1)))
    assert free.limits.tokens.remaining == pytest.approx(100, abs=5)

    await admission.settle(account_id=books.account_id, call_id=first.call_id, amounts=Amounts(1, rate_tokens=300))
    second = await admission.admit(call(books.account_id, amounts=Amounts(1, rate_tokens=500)))
    assert second.limits.tokens.remaining == pytest.approx(200, abs=20)
    await admission.settle(account_id=books.account_id, call_id=second.call_id, amounts=Amounts(1, rate_tokens=900))
    assert (await admission.state(books.account_id)).tokens.remaining == 0


async def test_a_clock_that_goes_back_gives_no_rate_back(gateways, ledger, call):
    early, late = await gateways.make(), await gateways.make(clock=SystemClock(50))
    books = ledger.open(10**6, limits=Limits(requests_per_minute=60))
    for _ in range(30):
        await late.admit(call(books.account_id, 1))

    answer = await early.admit(call(books.account_id, 1))
    again = await late.admit(call(books.account_id, 1))

    assert answer.limits.requests.remaining == 29
    assert again.limits.requests.remaining <= 29


async def test_leases_end_with_their_calls_however_they_end(gateways, ledger, call, plan):
    """Settled, swept, confirmed: nothing leaks (money.md 10, 14)."""
    admission = await gateways.make(patience_s=0.4)
    user = uuid4()
    books = ledger.open(10**6, limits=Limits(concurrency=3, member_concurrency=2))
    requests = [call(books.account_id, 1, user_id=user) for _ in range(2)]
    first, second = [await admission.admit(request) for request in requests]
    assert (second.limits.concurrency, second.limits.member_concurrency) == ((3, 1, None), (2, 0, None))
    assert (await admission.admit(call(books.account_id, 1, user_id=user))).reason == "member_concurrency"
    third = await admission.admit(call(books.account_id, 1, user_id=uuid4()))
    refused = await admission.admit(call(books.account_id, 1))
    assert (refused.reason, refused.retry_after_s) == ("concurrency", 1.0)

    await admission.settle(account_id=books.account_id, call_id=first.call_id, price_nano=1)
    await admission.apply_snapshot(books.book(second.call_id, second.allocation, 1))
    admission.abandon(third.call_id)
    await asyncio.sleep(0.5)

    async def publish(*_report):
        pass

    sweeper = Sweeper(redis=admission._redis, ledger=ledger, publish=publish, patience_s=0.4)
    await sweeper.sweep()
    sight = await gateways.look(books.account_id)
    assert sight.entries[third.call_id][0] == "swept"
    assert not [name for name in sight.flight if name.startswith("open")]
    assert (await admission.admit(call(books.account_id, 1, user_id=user))).limits.concurrency.remaining == 2


@pytest.mark.parametrize("scope", ["account", "member", "project", "api_key"])
async def test_a_budget_holds_for_its_scope_with_what_is_in_flight(gateways, ledger, call, scope):
    """(money.md 10)."""
    admission = await gateways.make()
    mine, other = uuid4(), uuid4()
    books = ledger.open(10**6)
    books.budgets = (budget(scope, books.account_id if scope == "account" else mine, 100, spent=40),)
    field = {"member": "user_id", "project": "project_id", "api_key": "api_key_id"}.get(scope)
    who = {field: mine} if field else {}

    first = await admission.admit(call(books.account_id, 50, **who))
    refused = await admission.admit(call(books.account_id, 11, **who))

    assert (refused.reason, refused.limit) == ("budget", f"budget:{scope}:day")
    assert refused.resets_at == pytest.approx(books.budgets[0].resets_at, abs=timedelta(milliseconds=1))
    assert refused.retry_after_s == pytest.approx(3600, abs=5)
    if field:
        assert (await admission.admit(call(books.account_id, 500, **{field: other}))).reserved_nano == 500
    await admission.settle(account_id=books.account_id, call_id=first.call_id, price_nano=30)
    assert (await admission.admit(call(books.account_id, 30, **who))).reserved_nano == 30
    assert (await admission.admit(call(books.account_id, 1, **who))).reason == "budget"


async def test_what_becomes_limited_counts_the_calls_that_run_already(gateways, ledger, call):
    """(money.md 4, 10)."""
    admission = await gateways.make()
    user = uuid4()
    books = ledger.open(10**6)
    first = await admission.admit(call(books.account_id, 50, user_id=user))
    await admission.settle(
        account_id=books.account_id, call_id=(await admission.admit(call(books.account_id, 7))).call_id, price_nano=7
    )
    assert not (await gateways.look(books.account_id)).flight

    limits = Limits(concurrency=2, member_concurrency=1)
    await admission.apply_snapshot(
        books.changed(limits=limits, budgets=(budget("member", user, 60), budget("account", books.account_id, 1000)))
    )

    counts = {"open": 1, f"open:{user.hex}": 1, f"member:{user.hex}": 50, "account": 57}
    assert (await gateways.look(books.account_id)).flight == counts
    assert (await admission.admit(call(books.account_id, 11, user_id=user))).reason == "budget"
    assert (await admission.admit(call(books.account_id, 1, user_id=user))).reason == "member_concurrency"
    await admission.settle(account_id=books.account_id, call_id=first.call_id, price_nano=20)
    left = {f"member:{user.hex}": 20, "account": 27}
    assert (await gateways.look(books.account_id)).flight == left

    await admission.apply_snapshot(books.changed(limits=Limits(), budgets=()))

    assert not (await gateways.look(books.account_id)).flight


async def test_a_budget_whose_window_is_over_counts_nothing_spent(gateways, ledger, call):
    """(money.md 10)."""
    admission, tomorrow = await gateways.make(), await gateways.make(clock=SystemClock(7200))
    books = ledger.open(10**6)
    books.budgets = (
        budget("account", books.account_id, 200, spent=200),
        budget("account", books.account_id, 150, window="total", spent=20, resets_in_s=None),
    )

    assert (await admission.admit(call(books.account_id, 1))).limit == "budget:account:day"
    assert (await tomorrow.admit(call(books.account_id, 100))).reserved_nano == 100
    refused = await tomorrow.admit(call(books.account_id, 50))
    assert (refused.limit, refused.resets_at, refused.retry_after_s) == ("budget:account:total", None, None)


async def test_an_elastic_step_past_a_budget_is_refused(gateways, ledger, call):
    """(money.md 8, 10)."""
    admission = await gateways.make()
    books = ledger.open(10**6)
    books.budgets = (budget("account", books.account_id, 100),)
    admitted = await admission.admit(call(books.account_id, 60))

    assert await admission.extend(admitted.call_id, Amounts(100)) is True
    assert await admission.extend(admitted.call_id, Amounts(101)) is False


async def test_a_call_that_a_later_check_refuses_takes_nothing_of_an_earlier_one(gateways, ledger, call):
    """(money.md 10)."""
    admission = await gateways.make()
    books = ledger.open(10, limits=Limits(requests_per_minute=10, tokens_per_minute=100, concurrency=1))
    books.budgets = (budget("account", books.account_id, 1000),)

    assert (await admission.admit(call(books.account_id, amounts=Amounts(11, rate_tokens=5)))).reason == "credit"

    standing = await admission.state(books.account_id)
    assert (standing.requests.remaining, standing.tokens.remaining, standing.open_calls) == (10, 100, 0)
    assert standing.budgets[0].in_flight_nano == 0


async def test_the_state_of_an_account_shows_every_limit_and_amount(gateways, ledger, call, slices):
    admission = await gateways.make()
    user = uuid4()
    books = ledger.open(1000, limits=Limits(requests_per_minute=10, concurrency=5))
    books.budgets = (budget("member", user, 900, window="month", spent=10),)
    held, ended = call(books.account_id, 100, user_id=user), call(books.account_id, 50)
    await admission.admit(held)
    await admission.admit(ended)
    await admission.settle(account_id=books.account_id, call_id=ended.call_id, price_nano=20)

    standing = await admission.state(books.account_id)

    assert standing.units["credit"] == (880, 100, 20)
    assert standing.units["token"] == (0, 0, 0)
    assert (standing.account, standing.open_calls, standing.open_by_member) == ("open", 1, {user: 1})
    assert (standing.requests.limit, standing.requests.remaining) == (10, 8)
    (shown,) = standing.budgets
    assert (shown.scope, shown.scope_id, shown.window) == ("member", user.hex, "month")
    assert (shown.limit_nano, shown.spent_nano, shown.in_flight_nano) == (900, 10, 100)
    assert standing.terms.limits == books.limits


async def test_an_address_has_its_own_bucket_that_goes_when_it_is_quiet(gateways):
    admission = await gateways.make()
    limits = AddressLimits(admission._redis, per_minute=600, most=3)

    answers = [await limits.check("203.0.113.7", "sign-in") for _ in range(5)]

    assert answers[:3] == [None] * 3
    assert all(0 < wait_s <= 0.1 for wait_s in answers[3:])
    assert await limits.check("203.0.113.8", "sign-in") is None
    assert await limits.check("203.0.113.7", "sign-up") is None
    keys = [key.decode() for key in await gateways.redis("KEYS", "{ip:*")]
    assert len(keys) == 3
    assert not any("203" in key for key in keys)
    await asyncio.sleep(0.4)
    assert not await gateways.redis("KEYS", "{ip:*")

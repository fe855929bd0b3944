"""What holds for every schedule of grants, calls in all units, time and corrections on one account's page."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.billing import Allowance, PlanPublished
from contracts.gateway import Allocation, Counts, UsageRecorded
from contracts.money import Unit
from contracts.terms import OverageTerms, Terms
from ledger.domain.account import Account
from ledger.domain.book import AccountBook
from ledger.domain.budgets import BudgetAccount, window_end, window_start
from ledger.domain.charging import rest_of
from ledger.domain.grants import Grant, GrantSource
from ledger.domain.overage import quantity_of
from ledger.domain.plans import PlanRates
from ledger.domain.pricing import RatedCall
from ledger.domain.rates import days_left, is_spike, per_day
from ledger.domain.renewal import due_at, enter_plan, settle
from ledger.domain.transfers import STRIPE_CLEARING, TransferKind
from rating.burning import Room, Value, burn

NOW = datetime(2027, 1, 31, 10, tzinfo=UTC)
# Hypothesis wants bounds without a zone.
FIRST, LAST = (datetime.fromisoformat(text) for text in ("2024-01-28", "2028-12-31"))
ACCOUNT = UUID("0199f3a0-0000-7000-8000-00000000000a")


def account(**more: Any) -> Account:
    return Account(ACCOUNT, "open", 1, 0, None, None, None, more.pop("activated_at", NOW), 0, 0, 0, 0, [], **more)


def plan(**more: Any) -> PlanPublished:
    values: dict[str, Any] = {
        "id": uuid4(),
        "time": NOW,
        "plan_id": "p",
        "version": 1,
        "name": "P",
        "effective_at": NOW,
        "renewal": "ledger",
        "interval": "month",
        "terms": Terms(unit=Unit.TOKEN, overage=OverageTerms(policy="bill", nano_per_1k_tokens=7_001)),
        "allowances": (Allowance(rule="m", unit=Unit.TOKEN, amount=1_000, roll_over="capped", roll_over_cap=300),),
    }
    return PlanPublished(**{**values, **more})


PLAN = plan()
RATES = {policy: PlanRates(plan(terms=_terms)) for policy, _terms in {
    "block": Terms(unit=Unit.TOKEN),
    "warn": Terms(unit=Unit.TOKEN, overage=OverageTerms(policy="warn"), request_max_price_nano=5_000),
    "bill": PLAN.terms,
}.items()}  # fmt: skip


def grant(
    unit: Unit, amount: int, *, now: datetime, days: int = 40, starts: int = 0, minor: int | None = None
) -> Grant:
    return Grant(
        id=uuid4(),
        account_id=ACCOUNT,
        source=GrantSource.BUNDLE,
        unit=unit,
        amount=amount,
        remaining=amount,
        priority=200,
        starts_at=now + timedelta(days=starts),
        expires_at=now + timedelta(days=days),
        rule=str(uuid4()),
        period="once",
        payment_id=None,
        paid_minor=minor,
        created_at=now,
    )


def call(price: int, tokens: int, *, at: datetime, policy: str, allocation: tuple[Allocation, ...] = ()) -> RatedCall:
    event = UsageRecorded(
        id=uuid4(),
        time=at,
        account_id=ACCOUNT,
        gateway_instance="g",
        surface="/v1/messages",
        streamed=False,
        model_asked="m",
        route="r",
        outcome="completed",
        basis="provider",
        counts=Counts(input_tokens=tokens),
        admitted_at=at,
        ended_at=at,
        price_book_version=1,
        plan_id="p",
        plan_version=1,
        markup_bps=0,
        allocation=allocation,
    )
    return RatedCall(event, b"", "m", price, price // 2, 1, terms=RATES[policy])


def check(book: AccountBook, transfers: list[Any]) -> None:
    balances: dict[tuple[str, str], int] = {}
    for one in transfers:
        assert one.amount > 0
        balances[one.source, one.unit] = balances.get((one.source, one.unit), 0) - one.amount
        balances[one.target, one.unit] = balances.get((one.target, one.unit), 0) + one.amount
    for one in book.grants:
        assert one.remaining == balances.get((one.ledger_account, one.unit), 0) >= 0
        assert min(one.burnt, one.expired, one.rolled) >= 0
    assert book.account.debt_nano == -balances.get((f"debt:{ACCOUNT}", "credit"), 0) >= 0
    assert [one.seq for one in transfers] == list(range(1, len(transfers) + 1))
    for unit in Unit:
        visible = [one for one in book.transfers if one.unit == unit and one.balance_after is not None]
        if visible:
            owed = book.account.debt_nano if unit is Unit.CREDIT else 0
            assert visible[-1].balance_after == book.available(unit) - owed


amounts = st.integers(1, 20_000)
steps = st.one_of(
    st.tuples(st.just("grant"), st.sampled_from(list(Unit)), amounts),
    st.tuples(st.just("call"), st.sampled_from(list(RATES)), amounts),
    st.tuples(st.just("late"), st.sampled_from(list(RATES)), amounts),
    st.tuples(st.just("reverse"), st.just("all"), amounts),
    st.tuples(st.just("wait"), st.just(""), st.integers(1, 50)),
)


@given(st.lists(steps, max_size=25))
@settings(max_examples=250, deadline=None)
def test_no_schedule_unbalances_a_page(schedule: list[tuple[str, Any, int]]) -> None:
    """(money.md 3, 20, 21, 23): conservation, no negative grant, a price that is asked once."""
    row = account(overage_ceiling_nano=30_000)
    now, transfers, calls = NOW, [], []
    book = AccountBook(row, [], now=now)
    enter_plan(book, PLAN)
    for step, kind, amount in schedule:
        if step == "wait":
            transfers += book.transfers
            now += timedelta(days=amount)
            book = AccountBook(row, book.grants, now=now)
            settle(book, PLAN)
        elif step == "grant":
            book.open_grant(
                grant(kind, min(amount, 9) if kind is Unit.REQUEST else amount, now=now, minor=amount),
                source=STRIPE_CLEARING,
                kind=TransferKind.TOPUP,
            )
        elif step in ("call", "late"):
            at = now - timedelta(days=45) if step == "late" else now
            held = tuple(
                Allocation(slice_id=one.id, unit=one.unit, amount=max(1, amount // 3)) for one in book.grants[:2]
            )
            one = call(amount * 3, amount, at=at, policy=kind, allocation=held if amount % 2 else ())
            first, last = book.charge(one)
            burns = [t for t in book.transfers if first <= t.seq <= last and t.kind == "deduction"]
            assert sum(t.amount for t in burns if t.unit == "credit") == one.price_nano
            assert sum(t.amount for t in burns if t.unit == "token") == one.plan_tokens <= amount
            assert sum(t.amount for t in burns if t.unit == "request") == one.plan_requests <= 1
            assert one.price_nano - one.overage_nano <= one.value_nano + 1
            assert one.overage_nano >= 0
            calls.append((one, burns))
        elif calls:
            one, burns = calls.pop()
            returned = book.reverse_charge(burns, charge_id=one.event.id, reference=f"reversal:{one.event.id}")
            assert (returned.credit_nano, returned.tokens, returned.requests, returned.recognised_nano) == (
                one.price_nano,
                one.plan_tokens,
                one.plan_requests,
                one.recognised_nano,
            )
        check(book, transfers + book.transfers)


@given(
    st.integers(0, 10**6), st.integers(1, 10**12), st.integers(0, 10**12), *(st.integers(0, 10**12) for _ in range(6))
)
def test_paying_in_two_parts_never_asks_for_more_than_the_whole(
    tokens: int, price: int, overage: int, t1: int, c1: int, o1: int, t2: int, c2: int, o2: int
) -> None:
    """(money.md 9, 20)."""
    value = Value(tokens, price, overage)
    first = burn(value, Room(0, t1, c1, o1))
    rest = rest_of(value, first)
    if not first.unpaid_nano:
        return
    second = burn(rest, Room(0, t2, c2, o2))

    assert first.tokens + second.tokens <= tokens
    assert first.credit_nano + second.credit_nano + second.unpaid_nano <= price
    assert first.overage_nano + second.overage_nano <= overage + 2


def test_an_allocation_to_overage_is_billed_though_others_filled_the_ceiling_meanwhile() -> None:
    """(money.md 9)."""
    row = account(overage_ceiling_nano=10_000)
    book = AccountBook(row, [], now=NOW)
    enter_plan(book, plan(allowances=()))
    held = (Allocation(slice_id=uuid4(), unit=Unit.CREDIT, amount=8_000),)
    book.charge(call(50_000, 1_000, at=NOW, policy="bill"))

    one = call(50_000, 1_000, at=NOW, policy="bill", allocation=held)
    book.charge(one)

    assert row.period_overage_nano == 14_002
    assert (one.overage_nano, one.price_nano, row.debt_nano) == (7_001, 7_001, 0)


def test_what_falls_into_an_expired_grant_becomes_an_adjustment_of_thirty_days() -> None:
    """(money.md 23): last first."""
    row = account()
    old, young = grant(Unit.CREDIT, 100, now=NOW, days=5), grant(Unit.CREDIT, 100, now=NOW, days=60)
    book = AccountBook(row, [], now=NOW)
    for one in (old, young):
        book.open_grant(one, source=STRIPE_CLEARING, kind=TransferKind.TOPUP)
    paid = call(150, 0, at=NOW, policy="block")
    book.charge(paid)
    burns = [one for one in book.transfers if one.kind == "deduction"]
    later = AccountBook(row, book.grants, now=NOW + timedelta(days=10))

    later.reverse_charge(burns, charge_id=paid.event.id, reference="r:1", amounts={"credit": 70})

    (anew,) = later.new_grants
    assert (young.remaining, anew.amount, anew.source) == (100, 20, GrantSource.ADJUSTMENT)
    assert anew.expires_at == later.now + timedelta(days=30)


@pytest.mark.parametrize(
    ("starts", "ends", "following"),
    [
        ("2027-01-31", "2027-02-28", ["2027-03-31", "2027-04-30", "2027-05-31"]),
        ("2027-01-30", "2027-02-28", ["2027-03-30", "2027-04-30", "2027-05-30"]),
        ("2027-01-15", "2027-02-15", ["2027-03-15", "2027-04-15", "2027-05-15"]),
        # Cut short by a change of the plan: its end tells the day.
        ("2027-01-25", "2027-02-10", ["2027-03-10", "2027-04-10", "2027-05-10"]),
    ],
)
def test_a_subscriptions_next_periods_keep_its_day_until_billing_tells_them(
    starts: str, ends: str, following: list[str]
) -> None:
    row = account()
    row.plan_id, row.plan_version, row.subscription_id = "p", 1, "sub"
    row.period_start, row.period_end = (datetime.fromisoformat(f"{day}T10:00:00+00:00") for day in (starts, ends))
    found = []
    for _ in following:
        settle(AccountBook(row, [], now=row.period_end), plan(renewal="subscription"))
        found.append(row.period_end.date().isoformat())

    assert found == following


@given(st.datetimes(FIRST, LAST), st.lists(st.integers(1, 70), max_size=12))
@settings(max_examples=150, deadline=None)
def test_it_does_not_matter_when_or_how_often_time_is_looked_at(start: datetime, waits: list[int]) -> None:
    """Kill Bill #743, Polar #10664: the same grants, periods and leavings, whether a job ran daily or never."""
    start = start.replace(tzinfo=UTC)
    end = start + timedelta(days=sum(waits))

    def lived(looks: list[datetime]) -> tuple[Any, ...]:
        row = account(activated_at=start)
        book = AccountBook(row, [], now=start)
        enter_plan(book, PLAN)
        closed: list[Any] = []
        for now in looks:
            book = AccountBook(row, book.grants, now=now)
            settle(book, PLAN)
            closed += book.closed
            due = due_at(book)
            assert due is not None
            assert due > now
        grants = sorted(
            (one.rule, one.period, one.amount, one.remaining, one.expired, one.rolled) for one in book.grants
        )
        return grants, closed, row.period_start, row.period_end, book.available(Unit.TOKEN)

    looks, now = [], start
    for wait in waits:
        now += timedelta(days=wait)
        looks.append(now)

    assert lived(looks) == lived([end] if waits else [])


@given(st.lists(st.integers(1, 10**9), max_size=20), st.integers(1, 10**8))
def test_quantities_of_hours_add_up_to_the_amount_less_one_carry(hours: list[int], rate: int) -> None:
    """(money.md 32)."""
    carry, billed = 0, 0
    for amount in hours:
        quantity, carry = quantity_of(amount, carry_nano=carry, nano_per_1k_tokens=rate)
        billed += quantity * rate

    assert billed + carry == sum(hours)
    assert carry < rate


@pytest.mark.parametrize(
    ("window", "instant", "start", "end"),
    [
        ("day", "2027-02-28T23:59:59", "2027-02-28", "2027-03-01"),
        ("month", "2028-02-29T12:00:00", "2028-02-01", "2028-03-01"),
        ("month", "2027-12-31T23:59:59", "2027-12-01", "2028-01-01"),
    ],
)
def test_a_budgets_window_is_a_utc_day_or_month(window: Any, instant: str, start: str, end: str) -> None:
    found = window_start(window, datetime.fromisoformat(instant).replace(tzinfo=UTC))

    assert found is not None
    assert (found.date().isoformat(), str(window_end(window, found))[:10]) == (start, end)


def test_a_call_of_a_window_that_is_over_counts_against_none() -> None:
    budget = BudgetAccount(ACCOUNT, "account", ACCOUNT, "day", 100, 0, window_start("day", NOW))
    budget.spend(5, admitted_at=NOW)
    budget.spend(7, admitted_at=NOW - timedelta(days=1))
    assert budget.spent_nano == 5
    assert budget.state(NOW + timedelta(days=1))["spent_nano"] == "0"

    budget.spend(3, admitted_at=NOW + timedelta(days=1))

    assert budget.spent_nano == 3


def test_a_forecast_is_the_mean_of_the_last_whole_days() -> None:
    today = NOW.date()
    spent = {today - timedelta(days=back): amount for back, amount in enumerate((999, 30, 0, 60))}

    assert per_day(spent, today=today) == 30
    assert days_left(100, 30) == 3
    assert days_left(100, per_day({}, today=today)) is None


@pytest.mark.parametrize(("now", "spike"), [(299, 0), (300, 1)])
def test_a_spike_is_measured_against_the_accounts_own_history(now: int, spike: int) -> None:
    today = NOW.date()
    history = {today - timedelta(days=back): 100 for back in (1, 2, 3)}

    assert is_spike({**history, today: now}, today=today, percent=300) == bool(spike)
    assert not is_spike({today: 10**9, today - timedelta(days=1): 1}, today=today, percent=300), "too short a history"

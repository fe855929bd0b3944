"""The rules of one account's page, without a database: what goes in is what is left plus what went out."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.event import decode
from contracts.gateway import Allocation, Counts, UsageRecorded
from contracts.ledger import BalanceChanged
from contracts.money import Unit
from kit.errors import MissingReferentError
from ledger.domain import thresholds
from ledger.domain.account import Account
from ledger.domain.book import AccountBook
from ledger.domain.burning import split
from ledger.domain.grants import Grant, GrantSource
from ledger.domain.pricing import RatedCall, rate
from ledger.domain.reversals import Reversal, share_to_take
from ledger.domain.snapshot import Terms, encoded_snapshot, snapshot
from ledger.domain.transfers import ADJUSTMENTS, STRIPE_CLEARING, TransferKind
from ledger.schemas.amounts import credits_of, nano_of
from ledger.settings import SHIPPED_BOOK
from rating import parse_book

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ACCOUNT = UUID("0199f3a0-0000-7000-8000-00000000000a")
BOOK = parse_book(SHIPPED_BOOK.read_text(), version=1)


def account(**more: object) -> Account:
    values = {
        "id": ACCOUNT,
        "state": "open",
        "version": 1,
        "auth_version": 0,
        "plan_id": None,
        "plan_version": None,
        "subscription_id": None,
        "activated_at": None,
        "debt_nano": 0,
        "transfer_seq": 0,
        "arming": 0,
        "armed_base": 0,
        "crossed": [],
    }
    return Account(**{**values, **more})


def grant(amount: int, *, days: int | None = 30, starts: int = 0, priority: int = 100) -> Grant:
    return Grant(
        id=uuid4(),
        account_id=ACCOUNT,
        source=GrantSource.BUNDLE,
        unit=Unit.CREDIT,
        amount=amount,
        remaining=amount,
        priority=priority,
        starts_at=NOW + timedelta(days=starts),
        expires_at=None if days is None else NOW + timedelta(days=days),
        rule=str(uuid4()),
        period="once",
        payment_id=None,
        paid_minor=None,
        created_at=NOW,
    )


def call(price: int, *, cost: int = 0, allocation: tuple[Allocation, ...] = (), at: datetime = NOW) -> RatedCall:
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
        admitted_at=at,
        ended_at=at,
        price_book_version=1,
        markup_bps=0,
        allocation=allocation,
    )
    return RatedCall(event, b"", "m", price, cost, 1)


amounts = st.integers(1, 9 * 10**15)
steps = st.one_of(
    st.tuples(st.just("grant"), amounts),
    st.tuples(st.just("call"), st.integers(0, 9 * 10**15)),
    st.tuples(st.just("cut"), amounts),
    st.tuples(st.just("reverse"), amounts),
    st.tuples(st.just("restore"), amounts),
)


@given(st.lists(steps, max_size=30))
@settings(max_examples=300, deadline=None)
def test_every_balance_is_the_sum_of_its_transfers(schedule: list[tuple[str, int]]) -> None:
    book = AccountBook(account(), [], now=NOW)
    taken: list[tuple[Grant, int, int]] = []
    for step, amount in schedule:
        if step == "grant":
            book.open_grant(grant(amount), source=STRIPE_CLEARING, kind=TransferKind.TOPUP)
        elif step == "call":
            book.charge(call(amount, cost=amount // 2))
        elif step == "cut":
            book.adjust_down(amount, target=ADJUSTMENTS, reference="adjustment:1")
        elif step == "reverse" and book.grants:
            reversed_grant = book.grants[0]
            taken.append((reversed_grant, *book.take_back(reversed_grant, amount, reference="reversal:1")))
        elif step == "restore" and taken:
            given_back, gave, owed = taken.pop()
            book.give_back(given_back, taken=gave, owed=owed, reference="reversal:1")

        balances: dict[str, int] = {}
        for transfer in book.transfers:
            assert transfer.amount > 0
            balances[transfer.source] = balances.get(transfer.source, 0) - transfer.amount
            balances[transfer.target] = balances.get(transfer.target, 0) + transfer.amount
        assert sum(balances.values()) == 0
        assert all(one.remaining == balances.get(one.ledger_account, 0) >= 0 for one in book.grants)
        assert book.account.debt_nano == -balances.get(f"debt:{ACCOUNT}", 0) >= 0
        visible = [transfer for transfer in book.transfers if transfer.balance_after is not None]
        if visible:
            assert visible[-1].balance_after == book.available_nano() - book.account.debt_nano
        assert [transfer.seq for transfer in book.transfers] == list(range(1, len(book.transfers) + 1))


@given(st.lists(amounts, max_size=4), st.lists(amounts, max_size=4), st.integers(0, 9 * 10**15))
def test_a_split_takes_the_whole_price_and_never_more_than_there_is(
    grants: list[int], allocated: list[int], price: int
) -> None:
    given_out = [grant(amount) for amount in grants]
    allocation = [
        Allocation(slice_id=one.id, unit=Unit.CREDIT, amount=part)
        for one, part in zip(given_out, allocated, strict=False)
    ]

    portions, left = split(price, allocation=allocation, grants=given_out, admitted_at=NOW, now=NOW)

    assert sum(amount for _, amount in portions) + left == price
    assert all(0 < amount <= one.remaining for one, amount in portions)
    assert left == max(0, price - sum(grants))


def test_grants_burn_by_priority_then_expiry_then_creation() -> None:
    late, soon, first = grant(5, days=60), grant(5, days=3), grant(5, days=None, priority=1)
    book = AccountBook(account(), [late, soon, first], now=NOW)

    book.charge(call(12))

    assert [(one.remaining) for one in (first, soon, late)] == [0, 0, 3]


def test_a_grant_that_starts_later_is_not_burnt_yet() -> None:
    later = grant(5, starts=1)
    book = AccountBook(account(), [later], now=NOW)

    book.charge(call(3))

    assert (later.remaining, book.account.debt_nano) == (5, 3)


def test_debt_is_paid_first_out_of_a_grant_and_leaves_the_balance_as_it_was() -> None:
    book = AccountBook(account(debt_nano=7), [], now=NOW)

    book.open_grant(grant(10), source=STRIPE_CLEARING, kind=TransferKind.TOPUP)

    assert (book.available_nano(), book.account.debt_nano, book.account.armed_base) == (3, 0, 3)
    assert [transfer.balance_after for transfer in book.transfers] == [3, 3]


@pytest.mark.parametrize(
    ("available", "levels"),
    [(251, []), (250, ["percent_25"]), (101, ["percent_25"]), (100, ["percent_25", "percent_10"]), (11, 2), (10, 3)],
)
def test_a_level_is_passed_at_its_share_and_not_before(available: int, levels: list[str] | int) -> None:
    found = thresholds.passed(base=1000, available=available, crossed=())

    assert found == levels if isinstance(levels, list) else len(found) == levels


def test_a_base_of_nothing_has_no_levels() -> None:
    assert thresholds.passed(base=0, available=0, crossed=()) == []


@given(amounts, st.integers(1, 10**6), st.lists(st.integers(0, 10**6), max_size=8))
def test_shares_of_reversals_add_up_to_the_share_of_their_sum(
    granted: int, paid: int, reversed_minor: list[int]
) -> None:
    """(money.md 3)."""
    before: list[Reversal] = []
    for number, minor in enumerate(reversed_minor):
        share = share_to_take(grant_amount=granted, paid_minor=paid, reversed_minor=minor, before=before)
        before.append(
            Reversal(
                reversal_id=str(number),
                payment_id="p",
                state="refunded",
                reversed_minor=minor,
                taken_amount=share,
                taken_debt=0,
            )
        )

    assert sum(one.taken_amount for one in before) == granted * min(paid, sum(reversed_minor)) // paid


def test_a_snapshot_is_what_the_contract_would_have_made() -> None:
    """(money.md 2, 4)."""
    later = NOW + timedelta(microseconds=5)
    grants = [grant(10**15 + 1), grant(2**53 + 1, days=None, starts=2), grant(7, days=-1, starts=-3)]
    data = snapshot(account(), grants, terms=Terms(None, book_markup_bps=1500), now=later, applied=[uuid4()])

    encoded = encoded_snapshot(data, source="ledger", now=later)
    event = decode(encoded, {BalanceChanged.type: BalanceChanged}).event

    assert isinstance(event, BalanceChanged)
    told, whole = orjson.loads(encoded), orjson.loads(event.encode("ledger"))
    assert {**whole, "data": told["data"]} == told
    assert told["data"].items() <= whole["data"].items()
    left_out = whole["data"].keys() - told["data"].keys()
    assert {name: getattr(event, name) for name in left_out} == {
        name: BalanceChanged.model_fields[name].default for name in left_out
    }
    assert {"limits", "terms", "budgets", "payment_problem"} <= left_out
    assert [one.amount for one in event.slices] == [10**15 + 1, 2**53 + 1]


@pytest.mark.parametrize("nano", [1, 10**9, 10**14 - 1, 10**14, 10**14 + 1, 2**53 - 1, 2**53 + 1, -3_450_000])
def test_credits_as_text_are_exact(nano: int) -> None:
    """(money.md 2)."""
    assert nano_of(credits_of(nano)) == nano


def test_a_model_that_only_a_later_book_prices_is_rated_by_that() -> None:
    """(money.md 19)."""
    older = BOOK.model_copy(update={"models": {k: v for k, v in BOOK.models.items() if k != "claude-haiku-4-5"}})
    newer = BOOK.model_copy(update={"version": 2})
    event = call(0).event.model_copy(
        update={"model_served": "claude-haiku-4-5", "counts": Counts(input_tokens=10), "markup_bps": 1500}
    )

    with pytest.raises(MissingReferentError, match="price:claude-haiku-4-5"):
        rate(event, digest=b"", books={1: older})
    rated = rate(event, digest=b"", books={1: older, 2: newer})

    assert (rated.price_nano, rated.book_version) == (11_500, 2)

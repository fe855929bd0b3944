"""Which call ids the books take: the id names the call, and its time the partition (money.md 1, 18)."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from factories import Factory
from harness import Ledger

from kit.clock import ManualClock
from kit.ids import uuid7, uuid7_instant
from ledger.metrics import ADMISSION_SKEWED

NewAccount = Callable[[], Awaitable[UUID]]
DLQ = "gateway.usage-recorded.v1.dlq"


@pytest.mark.parametrize("wrong", ["version", "future", "ancient", "counts"])
async def test_an_id_that_cannot_be_goes_to_the_dlq(
    ledger: Ledger, make: Factory, clock: ManualClock, account: NewAccount, wrong: str
) -> None:
    """(money.md 2, 18)."""
    account_id = await account()
    good = make.usage(account_id)
    bad = make.usage(account_id)
    if wrong == "version":
        bad = bad.model_copy(update={"id": uuid4()})
    elif wrong == "counts":
        bad = make.usage(account_id, tokens=2_000_000_000)
    else:
        other = ManualClock(clock.now() + timedelta(days=2 if wrong == "future" else -4000))
        bad = bad.model_copy(update={"id": uuid7(other)})
    aside = len(await ledger.rows("SELECT 1 FROM outbox WHERE topic = :topic", topic=DLQ))

    await ledger.deliver(bad, good)

    assert len(await ledger.rows("SELECT 1 FROM outbox WHERE topic = :topic", topic=DLQ)) == aside + 1
    rows = await ledger.rows("SELECT id FROM charge WHERE account_id = :id", id=account_id)
    assert [row.id for row in rows] == [good.id]


@pytest.mark.parametrize(("apart_s", "alarms"), [(-61, 1), (-60, 0), (0, 0), (60, 0), (61, 1)])
async def test_an_id_and_an_admission_more_than_a_minute_apart_are_an_alarm(
    ledger: Ledger, make: Factory, clock: ManualClock, account: NewAccount, apart_s: int, alarms: int
) -> None:
    """(money.md 1): the call is charged all the same, by its admission."""
    account_id = await account()
    call_id = uuid7(clock)
    admitted_at = uuid7_instant(call_id) + timedelta(seconds=apart_s)
    before = ADMISSION_SKEWED._value.get()

    await ledger.deliver(make.usage(account_id, id=call_id, admitted_at=admitted_at))

    assert ADMISSION_SKEWED._value.get() == before + alarms
    assert len(await ledger.rows("SELECT 1 FROM charge WHERE id = :id", id=call_id)) == 1


@pytest.mark.parametrize(("days", "charges"), [(-3650, 1), (-3651, 0), (1, 1), (2, 0)])
async def test_the_first_and_the_last_day_that_the_books_take(
    ledger: Ledger, make: Factory, clock: ManualClock, account: NewAccount, days: int, charges: int
) -> None:
    """(money.md 18)."""
    account_id = await account()
    then = ManualClock(clock.now() + timedelta(days=days))
    call = make.usage(account_id, id=uuid7(then), admitted_at=clock.now())

    await ledger.deliver(call)

    assert len(await ledger.rows("SELECT 1 FROM charge WHERE id = :id", id=call.id)) == charges


async def test_an_id_that_stands_under_two_accounts_is_named_by_the_check(bare_ledger: Ledger, make: Factory) -> None:
    """(money.md 18)."""
    accounts = [uuid4(), uuid4()]
    await bare_ledger.deliver(make.plan(), *map(make.created, accounts), *map(make.activated, accounts))
    call = make.usage(accounts[0])

    await bare_ledger.deliver(call, call.model_copy(update={"account_id": accounts[1]}))

    assert (await bare_ledger.books()).differences == [f"call {call.id} stands under 2 accounts"]

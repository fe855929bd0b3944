"""What is wrong has its own clear end, and takes nothing sound with it."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import orjson
import pytest
from factories import CREDIT, Factory
from harness import Ledger

from contracts.gateway import Counts
from contracts.money import MAX_AMOUNT
from kit.clock import ManualClock
from ledger.errors import AmountError, InsufficientCreditsError

NewAccount = Callable[[], Awaitable[UUID]]
CALL_NANO = 3_450_000


async def reasons(ledger: Ledger, call_id: UUID) -> list[str]:
    """Why the DLQ holds a call."""
    rows = await ledger.rows("SELECT value FROM outbox WHERE topic = 'gateway.usage-recorded.v1.dlq'")

    asides = [orjson.loads(row.value) for row in rows]
    return [one["reason"] for one in asides if str(call_id).encode() in base64.b64decode(one["value"])]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"counts": Counts(input_tokens=10**14)}, "invalid_amount"),
        ({"admitted_at": "future"}, "from the future"),
        ({"markup_bps": 9_999, "counts": Counts(output_tokens=MAX_AMOUNT)}, "invalid_amount"),
    ],
)
async def test_a_call_beyond_all_bounds_is_set_aside_and_its_neighbours_are_charged(
    ledger: Ledger, make: Factory, account: NewAccount, change: dict[str, object], reason: str
) -> None:
    account_id = await account()
    if change.get("admitted_at") == "future":
        change = {"admitted_at": ledger.clock.now() + timedelta(days=3)}
    bad = make.usage(account_id, **change)

    await ledger.deliver(make.usage(account_id), bad, make.usage(account_id))

    assert await ledger.available(account_id) == 5 * CREDIT - 2 * CALL_NANO
    (found,) = await reasons(ledger, bad.id)
    assert reason in found


async def test_counts_below_zero_are_set_aside(ledger: Ledger, make: Factory, account: NewAccount) -> None:
    account_id = await account()
    usage = make.usage(account_id)

    await ledger.deliver(usage.encode("test").replace(b'"input_tokens":1000', b'"input_tokens":-1000'))

    assert await ledger.available(account_id) == 5 * CREDIT
    assert len(await reasons(ledger, usage.id)) == 1


async def test_a_call_of_an_unknown_plan_version_waits_and_is_charged_when_it_comes(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    account_id = await account()
    await ledger.deliver(make.usage(account_id, plan_id="later", plan_version=7))
    assert await ledger.available(account_id) == 5 * CREDIT

    await ledger.deliver(make.plan("later", version=7, default=False))

    assert await ledger.available(account_id) == 5 * CREDIT - CALL_NANO


async def test_a_call_of_a_period_that_ended_is_charged_and_changes_no_closed_balance(
    ledger: Ledger, make: Factory, account: NewAccount, clock: ManualClock
) -> None:
    account_id = await account()
    late = make.usage(account_id)
    clock.advance(timedelta(days=40).total_seconds())

    await ledger.deliver(late)

    rows = await ledger.rows(
        "SELECT amount, booked_at, effective_at FROM transfer WHERE charge_id = :id AND kind = 'deduction'", id=late.id
    )
    assert [(row.amount, row.booked_at, row.effective_at) for row in rows] == [
        (CALL_NANO, clock.now(), late.admitted_at)
    ]
    assert await ledger.debt(account_id) == 0


@pytest.mark.parametrize("amount", [-5 * CREDIT - 1, -MAX_AMOUNT])
async def test_an_adjustment_below_zero_needs_leave_for_debt(ledger: Ledger, account: NewAccount, amount: int) -> None:
    account_id = await account()

    with pytest.raises(InsufficientCreditsError):
        await ledger.adjust(account_id, amount)

    assert await ledger.available(account_id) == 5 * CREDIT


async def test_debt_beyond_what_can_be_counted_is_refused(ledger: Ledger, account: NewAccount) -> None:
    account_id = await account()

    with pytest.raises(AmountError):
        await ledger.adjust(account_id, -MAX_AMOUNT - 6 * CREDIT, allow_debt=True)

    assert await ledger.debt(account_id) == 0


async def test_two_operators_at_once_take_what_is_there_once(ledger: Ledger, account: NewAccount) -> None:
    account_id = await account()

    done = await asyncio.gather(*(ledger.adjust(account_id, -3 * CREDIT) for _ in range(4)), return_exceptions=True)

    assert sum(isinstance(one, InsufficientCreditsError) for one in done) == 3
    assert await ledger.available(account_id) == 2 * CREDIT

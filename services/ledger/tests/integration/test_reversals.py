"""Refunds and disputes take units in proportion, and a dispute that is won gives exactly those back."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from factories import CREDIT, Factory
from harness import Ledger

from kit.clock import ManualClock

NewAccount = Callable[[], Awaitable[UUID]]
THREE_CREDITS = 869_565  # tokens that cost about three credits


async def test_a_refund_takes_the_whole_grant_and_leaves_the_others(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    account_id = await account()
    payment = make.settled(account_id)
    await ledger.deliver(payment)

    await ledger.deliver(make.reversed(payment, "refund"), make.reversed(payment, "refund"))

    assert await ledger.available(account_id) == 5 * CREDIT
    assert await ledger.debt(account_id) == 0


async def test_partial_refunds_take_shares_that_add_up(ledger: Ledger, make: Factory, account: NewAccount) -> None:
    """(money.md 3, 23)."""
    account_id = await account()
    payment = make.settled(account_id, 10 * CREDIT + 1)
    await ledger.deliver(payment)

    for number in range(3):
        await ledger.deliver(make.reversed(payment, "refund", minor=333, reversal_id=f"re_{number}"))
    taken = 15 * CREDIT + 1 - await ledger.available(account_id)
    assert taken == (10 * CREDIT + 1) * 999 // 1000

    await ledger.deliver(make.reversed(payment, "refund", minor=1, reversal_id="re_last"))

    assert await ledger.available(account_id) == 5 * CREDIT


async def test_what_was_spent_of_a_refunded_payment_becomes_debt(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    account_id = await account()
    payment = make.settled(account_id)
    await ledger.deliver(payment)
    await ledger.deliver(make.usage(account_id, tokens=2 * 10**6))
    spent = 2 * 10**6 * 3450 - 5 * CREDIT

    await ledger.deliver(make.reversed(payment, "refund"))

    assert await ledger.available(account_id) == 0
    assert await ledger.debt(account_id) == spent


async def test_a_dispute_takes_when_it_opens_and_gives_back_exactly_when_it_is_won(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    account_id = await account()
    payment = make.settled(account_id)
    await ledger.deliver(payment, make.usage(account_id, tokens=2 * 10**6))
    before = (await ledger.available(account_id), await ledger.debt(account_id))

    await ledger.deliver(make.reversed(payment, "dispute_opened", reversal_id="dp"))
    assert await ledger.available(account_id) == 0
    assert await ledger.debt(account_id) > 0
    won = make.reversed(payment, "dispute_won", reversal_id="dp")
    await ledger.deliver(won, won)

    assert (await ledger.available(account_id), await ledger.debt(account_id)) == before


async def test_a_dispute_that_is_lost_keeps_what_it_took(ledger: Ledger, make: Factory, account: NewAccount) -> None:
    account_id = await account()
    payment = make.settled(account_id)
    await ledger.deliver(payment, make.reversed(payment, "dispute_opened", reversal_id="dp"))
    await ledger.deliver(make.reversed(payment, "dispute_lost", reversal_id="dp"))
    await ledger.deliver(make.reversed(payment, "dispute_won", reversal_id="dp"))

    assert await ledger.available(account_id) == 5 * CREDIT


async def test_a_dispute_won_before_it_was_heard_of_takes_nothing_later(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    """(money.md 24)."""
    account_id = await account()
    payment = make.settled(account_id)
    await ledger.deliver(payment, make.reversed(payment, "dispute_won", reversal_id="dp"))

    await ledger.deliver(make.reversed(payment, "dispute_opened", reversal_id="dp"))

    assert await ledger.available(account_id) == 15 * CREDIT


async def test_debt_that_was_repaid_meanwhile_comes_back_as_credits(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    account_id = await account()
    payment = make.settled(account_id)
    await ledger.deliver(payment, make.usage(account_id, tokens=5 * CREDIT // 3450 + THREE_CREDITS))
    await ledger.deliver(make.reversed(payment, "dispute_opened", reversal_id="dp"))
    debt = await ledger.debt(account_id)
    await ledger.deliver(make.settled(account_id))
    assert await ledger.available(account_id) == 10 * CREDIT - debt

    await ledger.deliver(make.reversed(payment, "dispute_won", reversal_id="dp"))

    assert await ledger.available(account_id) == 20 * CREDIT - debt
    assert await ledger.debt(account_id) == 0


async def test_what_would_return_into_an_expired_grant_is_given_for_thirty_days(
    ledger: Ledger, make: Factory, clock: ManualClock, account: NewAccount
) -> None:
    account_id = await account()
    payment = make.settled(account_id, valid_days=30)
    await ledger.deliver(payment, make.reversed(payment, "dispute_opened", reversal_id="dp"))
    clock.advance(40 * 86_400)

    await ledger.deliver(make.reversed(payment, "dispute_won", reversal_id="dp"))

    assert await ledger.available(account_id) == 10 * CREDIT
    clock.advance(30 * 86_400)
    assert await ledger.available(account_id) == 0


async def test_a_reversal_waits_for_its_payment(ledger: Ledger, make: Factory, account: NewAccount) -> None:
    """(money.md 24)."""
    account_id = await account()
    payment = make.settled(account_id)

    await ledger.deliver(make.reversed(payment, "refund", minor=500))
    await ledger.deliver(payment)

    assert await ledger.available(account_id) == 10 * CREDIT

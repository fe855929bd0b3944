"""`?at=` and statements: what counts when, and that a month which is over never changes (money.md 21)."""

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from factories import CALL_NANO, CREDIT, Factory
from harness import Ledger

from contracts.money import Unit
from ledger.domain.statements import Statement
from ledger.errors import PeriodError
from ledger.service.reading import Balance
from ledger.service.standing import mark_balances
from ledger.service.stating import Stating

NewAccount = Callable[[], Awaitable[UUID]]
DAY_S = 24 * 3600.0


async def balance_at(ledger: Ledger, account_id: UUID, at: datetime) -> Balance:
    async with ledger.database.reading() as session:
        return await ledger.reading.balance_at(session, account_id, at)


async def statement(ledger: Ledger, account_id: UUID, period: str) -> Statement:
    async with ledger.database.reading() as session:
        return await Stating(ledger.clock).state_month(session, account_id, period)


def credits_in(found: Statement) -> tuple[int, dict[str, int], int]:
    (one,) = [unit for unit in found.units if unit.unit is Unit.CREDIT]
    assert one.opening + sum(amount for _, amount in one.movements) == one.closing
    return one.opening, dict(one.movements), one.closing


@pytest.mark.parametrize("step", [None, 3])
async def test_every_past_balance_can_be_asked_for_again(
    ledger: Ledger, make: Factory, account: NewAccount, step: int | None
) -> None:
    """With and without marks on the way."""
    draw, account_id = random.Random(step), await account()
    seen: list[tuple[datetime, int, int]] = []
    for number in range(40):
        match draw.choice(["call", "call", "adjust", "pay", "wait"]):
            case "call":
                await ledger.deliver(make.usage(account_id, tokens=draw.randrange(1, 400_000)))
            case "adjust":
                await ledger.adjust(account_id, draw.choice([-CREDIT, CREDIT]), allow_debt=True)
            case "pay":
                await ledger.deliver(make.settled(account_id, CREDIT, valid_days=draw.choice([2, 30])))
            case _:
                ledger.clock.advance(draw.choice([1.0, DAY_S, 3 * DAY_S]))
        now = await ledger.balance(account_id)
        seen.append((ledger.clock.now(), now.available_nano, now.debt_nano))
        ledger.clock.advance(0.5)
        if step and number % 9 == 0:
            await mark_balances(ledger.database, step=step)

    for at, available_nano, debt_nano in seen:
        then = await balance_at(ledger, account_id, at)
        assert (then.available_nano, then.debt_nano) == (available_nano, debt_nano)


async def test_a_late_event_counts_from_when_it_was_booked(ledger: Ledger, make: Factory, account: NewAccount) -> None:
    account_id, admitted_at = await account(), ledger.clock.now()
    late = make.usage(account_id)
    ledger.clock.advance(DAY_S)
    await ledger.deliver(late)

    assert (await balance_at(ledger, account_id, admitted_at + timedelta(hours=1))).available_nano == 5 * CREDIT
    assert (await balance_at(ledger, account_id, ledger.clock.now())).available_nano == 5 * CREDIT - CALL_NANO


async def test_an_expired_grant_is_gone_from_its_last_instant_on_whether_booked_or_not(
    ledger: Ledger, account: NewAccount
) -> None:
    account_id = await account()
    (trial,) = (await ledger.balance(account_id)).grants
    assert trial.expires_at is not None
    ledger.clock.advance(20 * DAY_S)
    before, after = trial.expires_at - timedelta(microseconds=1), trial.expires_at

    for _ in range(2):
        assert (await balance_at(ledger, account_id, before)).available_nano == 5 * CREDIT
        assert (await balance_at(ledger, account_id, after)).available_nano == 0
        # Touched: what expired is booked now.
        await ledger.adjust(account_id, CREDIT)


async def test_a_statement_adds_up_and_the_next_month_opens_with_what_it_closed(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    account_id = await account()
    await ledger.deliver(make.usage(account_id), make.settled(account_id, 10 * CREDIT))
    await ledger.adjust(account_id, -CREDIT)
    ledger.clock.advance(20 * DAY_S)
    await ledger.deliver(make.usage(account_id))

    november, december = await statement(ledger, account_id, "2026-11"), await statement(ledger, account_id, "2026-12")

    opening, movements, closing = credits_in(november)
    assert (opening, november.is_closed, december.is_closed) == (0, True, False)
    assert movements == {"topup": 15 * CREDIT, "deduction": -CALL_NANO, "adjustment": -CREDIT}
    opening, movements, now = credits_in(december)
    assert opening == closing == 14 * CREDIT - CALL_NANO
    # The trial, less the first call and what was taken: burnt before what was bought.
    assert movements == {"deduction": -CALL_NANO, "expiry": -(4 * CREDIT - CALL_NANO)}
    assert now == await ledger.available(account_id)


async def test_a_month_that_is_over_never_changes_whatever_comes_late(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    """Late calls, into a living and into an expired grant, and the booking of an expiry."""
    account_id = await account()
    await ledger.deliver(make.settled(account_id, 10 * CREDIT, valid_days=3))
    late = [make.usage(account_id, tokens=100_000) for _ in range(3)]
    ledger.clock.instant = datetime(2026, 12, 3, tzinfo=UTC)
    november = await statement(ledger, account_id, "2026-11")

    await ledger.deliver(late[0])
    assert await statement(ledger, account_id, "2026-11") == november
    await ledger.adjust(account_id, CREDIT)
    ledger.clock.instant = datetime(2026, 12, 20, tzinfo=UTC)
    await ledger.deliver(late[1])
    december = credits_in(await statement(ledger, account_id, "2026-12"))
    assert december[0] == credits_in(november)[2]
    ledger.clock.instant = datetime(2027, 1, 5, tzinfo=UTC)
    closed = await statement(ledger, account_id, "2026-12")
    await ledger.deliver(late[2])

    assert await statement(ledger, account_id, "2026-11") == november
    assert await statement(ledger, account_id, "2026-12") == closed
    assert credits_in(await statement(ledger, account_id, "2027-01"))[1]["deduction"] == -100 * CALL_NANO


@pytest.mark.parametrize("period", ["2026-13", "2026-1", "26-11", "2026-11-01", "0000-01", "\uff12026-11", "2027-01"])
async def test_a_period_that_is_no_month_or_has_not_begun_is_refused(
    ledger: Ledger, account: NewAccount, period: str
) -> None:
    account_id = await account()

    with pytest.raises(PeriodError) as caught:
        await statement(ledger, account_id, period)
    assert caught.value.field == "period"

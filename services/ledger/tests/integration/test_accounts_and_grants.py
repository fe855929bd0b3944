"""Accounts come, get their first grant, change state and plan."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from factories import CREDIT, Factory
from harness import Ledger

from contracts.billing import Allowance
from contracts.money import MAX_AMOUNT, Unit
from kit.clock import ManualClock
from ledger.errors import AmountError

NewAccount = Callable[[], Awaitable[UUID]]


async def test_an_activation_waits_for_the_account_and_for_a_catalogue(bare_ledger: Ledger, make: Factory) -> None:
    """(money.md 24)."""
    account_id = uuid4()
    await bare_ledger.deliver(make.activated(account_id))
    await bare_ledger.deliver(make.created(account_id))

    assert await bare_ledger.available(account_id) == 0

    await bare_ledger.deliver(make.plan())

    assert await bare_ledger.available(account_id) == 5 * CREDIT
    assert not await bare_ledger.rows("SELECT 1 FROM parked")
    assert (await bare_ledger.books()).balanced


async def test_an_activation_grants_the_trial_once_and_announces_it(
    ledger: Ledger, make: Factory, clock: ManualClock
) -> None:
    """(money.md 4)."""
    account_id = uuid4()
    activated = make.activated(account_id)
    await ledger.deliver(make.created(account_id), activated)
    await ledger.deliver(activated, activated.model_copy(update={"id": uuid4()}))

    snapshots = await ledger.snapshots(account_id)
    assert [one["version"] for one in snapshots] == [1, 2]
    last = snapshots[-1]
    assert (last["plan_id"], last["plan_version"], last["markup_bps"], last["arming"]) == ("trial", 1, 1500, 1)
    assert last["limits"]["requests_per_minute"] == 60
    (piece,) = last["slices"]
    assert (piece["amount"], piece["unit"]) == (str(5 * CREDIT), "credit")
    assert (await ledger.balance(account_id)).grants[0].expires_at == clock.now() + timedelta(days=14)


async def test_the_trial_ends_by_time_alone(ledger: Ledger, clock: ManualClock, account: NewAccount) -> None:
    account_id = await account()
    clock.advance(14 * 86_400 - 1)
    assert await ledger.available(account_id) == 5 * CREDIT

    clock.advance(1)

    assert await ledger.available(account_id) == 0


async def test_an_older_account_version_changes_nothing(ledger: Ledger, make: Factory, account: NewAccount) -> None:
    """(money.md 24)."""
    account_id = await account()
    await ledger.deliver(make.changed(account_id, version=3, state="frozen"))
    await ledger.deliver(make.changed(account_id, version=2, state="open"))

    assert (await ledger.balance(account_id)).account.state == "frozen"
    assert (await ledger.snapshots(account_id))[-1]["state"] == "frozen"


async def test_a_subscription_sets_the_plan_while_it_is_active(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    """(money.md 24)."""
    account_id = await account()

    await ledger.deliver(make.subscription(account_id, version=2, status="active"))
    assert (await ledger.balance(account_id)).account.plan == ("starter", 1)

    await ledger.deliver(make.subscription(account_id, version=1, status="incomplete"))
    assert (await ledger.balance(account_id)).account.plan == ("starter", 1)

    await ledger.deliver(make.subscription(account_id, version=3, status="canceled"))
    assert (await ledger.balance(account_id)).account.plan == ("trial", 1)
    assert (await ledger.snapshots(account_id))[-1]["plan_id"] == "trial"


async def test_a_subscription_to_an_unknown_plan_version_waits_for_it(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    """(money.md 19, 24)."""
    account_id = await account()
    plan_id = f"pro-{account_id}"
    await ledger.deliver(make.subscription(account_id, version=1, status="active", plan_id=plan_id, plan_version=7))
    assert (await ledger.balance(account_id)).account.plan == ("trial", 1)

    await ledger.deliver(make.plan(plan_id, version=7, default=False, markup_bps=2500))

    assert (await ledger.balance(account_id)).account.plan == (plan_id, 7)
    assert (await ledger.snapshots(account_id))[-1]["markup_bps"] == 2500


async def test_a_payment_delivered_twice_is_granted_once(ledger: Ledger, make: Factory, account: NewAccount) -> None:
    account_id = await account()
    payment = make.settled(account_id)

    await ledger.deliver(payment, payment)
    await ledger.deliver(payment.model_copy(update={"id": uuid4()}))

    assert await ledger.available(account_id) == 15 * CREDIT


async def test_a_payment_of_an_unknown_account_waits_for_it(ledger: Ledger, make: Factory) -> None:
    """(money.md 24)."""
    account_id = uuid4()
    await ledger.deliver(make.settled(account_id))
    await ledger.deliver(make.created(account_id))

    assert await ledger.available(account_id) == 10 * CREDIT


async def test_a_subscriptions_period_is_granted_once_for_that_period(
    ledger: Ledger, make: Factory, clock: ManualClock, account: NewAccount
) -> None:
    account_id = await account()
    period = {
        "kind": "subscription",
        "plan_id": "starter",
        "plan_version": 1,
        "period_start": clock.now(),
        "period_end": clock.now() + timedelta(days=30),
        "valid_days": None,
    }
    await ledger.deliver(make.settled(account_id, 20 * CREDIT, **period))
    await ledger.deliver(make.settled(account_id, 20 * CREDIT, **period))

    grants = (await ledger.balance(account_id)).grants
    assert sorted(grant.source for grant in grants) == ["plan", "trial"]
    clock.advance(30 * 86_400)
    assert await ledger.available(account_id) == 0
    assert len(await ledger.rows("SELECT 1 FROM payment WHERE account_id = :id", id=account_id)) == 2


@pytest.mark.parametrize("amount", [10**14 - 1, 10**14, 10**14 + 1, MAX_AMOUNT - 1, MAX_AMOUNT])
async def test_amounts_next_to_the_limits_of_doubles_stay_exact(
    ledger: Ledger, make: Factory, account: NewAccount, amount: int
) -> None:
    """(money.md 2)."""
    account_id = await account()
    await ledger.deliver(make.settled(account_id, amount))
    await ledger.deliver(make.usage(account_id, tokens=1))

    assert await ledger.available(account_id) == 5 * CREDIT + amount - 3450
    slices = (await ledger.snapshots(account_id))[-1]["slices"]
    assert {piece["amount"] for piece in slices} == {str(5 * CREDIT - 3450), str(amount)}


@pytest.mark.parametrize("amount", [-1, MAX_AMOUNT + 1, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1])
async def test_a_payment_or_an_allowance_that_scripts_could_not_count_is_refused(
    ledger: Ledger, make: Factory, account: NewAccount, amount: int
) -> None:
    """(money.md 2): its snapshot would be refused by every gateway, and the account would stand still."""
    account_id = await account()
    plan_id = f"vast-{account_id}"
    allowance = Allowance(rule="vast", unit=Unit.CREDIT, amount=amount, valid_days=1)
    payment = make.settled(account_id, amount)

    await ledger.deliver(payment, make.plan(plan_id, default=False, allowances=(allowance,)))

    assert await ledger.available(account_id) == 5 * CREDIT
    assert not await ledger.rows("SELECT 1 FROM plan WHERE plan_id = :id", id=plan_id)
    for event_type in (payment.type, "billing.plan-published.v1"):
        assert (await ledger.sent(f"{event_type}.dlq"))[-1]["reason"].startswith("invalid_amount")


@pytest.mark.parametrize("owed", [10**14 - 1, 10**14 + 1, MAX_AMOUNT])
async def test_debt_stays_exact_up_to_what_can_be_counted_and_goes_no_further(
    ledger: Ledger, account: NewAccount, owed: int
) -> None:
    """(money.md 2)."""
    account_id = await account()
    await ledger.adjust(account_id, -owed, allow_debt=True)
    await ledger.adjust(account_id, -5 * CREDIT, allow_debt=True)
    assert (await ledger.snapshots(account_id))[-1]["debt_nano"] == str(owed)

    with pytest.raises(AmountError):
        await ledger.adjust(account_id, owed - MAX_AMOUNT - 1, allow_debt=True)

    assert await ledger.debt(account_id) == owed

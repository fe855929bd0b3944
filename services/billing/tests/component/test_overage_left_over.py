"""Overage that nobody bills any more, told to the operator; overage that became less, given back to the customer."""

from datetime import timedelta
from uuid import uuid4

import pytest
from faults import SOME_OR_ALL, FaultyTransport, on_path
from prometheus_client import REGISTRY

from billing.entrypoints.meter_reporter import MeterReporter
from billing.service.giving_back import GivingBack
from billing.service.metering import Metering
from billing.service.overage import owe_overage
from billing.service.reconciling import Reconciler
from contracts.ledger import OverageAccrued

ITEMS = "/v1/invoiceitems"


async def test_a_reduction_that_nothing_offsets_is_on_the_next_invoice_once(counter):
    account_id = await subscriber(counter)
    await accrue(counter, account_id, 3_000_000_000)
    await report(counter)
    await accrue(counter, account_id, -1_234_567_890, sequence=2)

    await report(counter)
    before = await given(counter, account_id)
    counter.clock.advance(25 * 3600)
    for _ in range(3):
        await report(counter)

    assert before == []
    assert await given(counter, account_id) == [-123]
    (carry,) = await counter.rows("SELECT carry_nano FROM overage_carry WHERE account_id = :id", id=account_id)
    assert carry.carry_nano == -4_567_890
    assert (await reconciled(counter, account_id)).books.is_whole


async def test_use_of_the_same_day_offsets_a_reduction_and_nothing_is_given_back(counter):
    account_id = await subscriber(counter)
    await accrue(counter, account_id, -2_000_000_000)
    counter.clock.advance(20 * 3600)
    await accrue(counter, account_id, 2_500_000_000, sequence=2)
    counter.clock.advance(25 * 3600)

    await report(counter)

    assert await given(counter, account_id) == []
    rows = await counter.rows("SELECT state, units FROM overage WHERE account_id = :id", id=account_id)
    assert [tuple(row) for row in rows] == [("accepted", 500_000)]


@pytest.mark.parametrize("fault", SOME_OR_ALL)
async def test_whatever_happens_on_the_way_it_is_given_back_once(counter, fault):
    account_id = await subscriber(counter)
    await accrue(counter, account_id, -2_000_000_000)
    counter.clock.advance(25 * 3600)
    transport = FaultyTransport(fault, on_path(ITEMS, times=2))
    faulty = GivingBack(counter.database, counter.stripe(transport).meters, counter.clock)

    for _ in range(3):
        await faulty.once()
        counter.clock.advance(301)
    # By now Stripe has forgotten the key of the first try.
    counter.clock.advance(25 * 3600)
    for _ in range(2):
        await report(counter)

    assert transport.struck
    assert await given(counter, account_id) == [-200]


async def test_the_operator_is_told_once_of_use_that_no_subscription_bills(counter):
    account_id = await counter.account()
    await accrue(counter, account_id, 4_200_000_000)

    await report(counter)
    early = await told(counter, account_id)
    counter.clock.advance(26 * 3600)
    await report(counter)
    alarmed = REGISTRY.get_sample_value("faregate_billing_overage_stranded")
    counter.clock.advance(3600)
    await report(counter)

    assert early == 0
    assert (alarmed, await told(counter, account_id)) == (1, 1)
    rows = await counter.rows("SELECT state, units FROM overage WHERE account_id = :id", id=account_id)
    assert [tuple(row) for row in rows] == [("pending", 4_200_000)]


async def test_use_that_waited_is_billed_when_there_is_a_subscription_again(counter):
    account_id = await subscriber(counter)
    await counter.changes().cancel(counter.write(account_id, "POST /cancel"), at_period_end=False)
    await counter.hear()
    await accrue(counter, account_id, 4_200_000_000)
    counter.clock.advance(26 * 3600)
    await report(counter)
    assert await told(counter, account_id) == 1

    await counter.buy(account_id, "metered")
    counter.clock.advance(600)
    for _ in range(2):
        await report(counter)
        counter.clock.advance(600)
    await report(counter)

    rows = await counter.rows("SELECT state, units FROM overage WHERE account_id = :id", id=account_id)
    assert [tuple(row) for row in rows] == [("accepted", 4_200_000)]
    assert REGISTRY.get_sample_value("faregate_billing_overage_stranded") == 0


async def subscriber(counter):
    account_id = await counter.buyer("metered")
    await report(counter)
    counter.clock.advance(3 * 3600)
    return account_id


async def report(counter) -> None:
    """One turn of the reporter, which watches as well."""
    meters = counter.stripe().meters
    metering = Metering(counter.database, meters, clock=counter.clock)
    giving_back = GivingBack(counter.database, meters, counter.clock)
    await MeterReporter(counter.database, metering, giving_back, clock=counter.clock).once()


async def accrue(counter, account_id, amount_nano: int, *, sequence: int = 1) -> None:
    now = counter.clock.now()
    event = OverageAccrued(
        id=uuid4(),
        time=now,
        account_id=account_id,
        plan_id="metered",
        plan_version=1,
        hour=now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1),
        sequence=sequence,
        collect="meter",
        unit="token",
        quantity=amount_nano,
        amount_nano=amount_nano,
    )
    async with counter.database.transaction() as session:
        await owe_overage(session, event, now=now)


async def given(counter, account_id) -> list[int]:
    (row,) = await counter.rows("SELECT id FROM stripe_customer WHERE account_id = :id", id=account_id)
    return [one["amount"] for one in counter.listed("invoiceitems", customer=row.id)]


async def reconciled(counter, account_id):
    reconciler = Reconciler(counter.database, counter.stripe().meters, clock=counter.clock)
    now = counter.clock.now()
    found = await reconciler.reconcile(start=now - timedelta(days=30), end=now + timedelta(days=1))
    return next(one for one in found if one.books.account_id == account_id)


async def told(counter, account_id) -> int:
    (row,) = await counter.rows(
        "SELECT count(*) AS n FROM outbox WHERE topic = 'billing.overage-stranded.v1' AND key = :key",
        key=str(account_id).encode(),
    )
    return row.n

"""What was used past a plan, on invoices: the hours behind each line, the last invoice, every currency."""

from datetime import timedelta
from uuid import uuid4

import pytest

from billing.adapters.catalogue_file import load_catalogue
from billing.domain.overage import METER
from billing.errors import UnknownInvoiceError
from billing.service import statements
from billing.service.metering import Metering
from billing.service.overage import owe_overage
from billing.service.pushing import Pusher
from contracts.ledger import OverageAccrued


async def test_an_end_now_asks_for_what_was_used_and_the_invoice_names_its_hours(counter):
    account_id = await counter.buyer("metered")
    metering = Metering(counter.database, counter.stripe().meters, clock=counter.clock)
    await metering.once()
    counter.clock.advance(3 * 3600)
    told = await used(counter, account_id, 1_500_000_000, ago_h=2)
    await metering.once()
    late = await used(counter, account_id, 250_000_000, ago_h=1)

    await counter.changes().cancel(counter.write(account_id, "POST /cancel"), at_period_end=False)
    await counter.hear()

    async with counter.database.reading() as session:
        newest, first = await statements.list_invoices(session, account_id, before=None, limit=10)
        (line,) = await statements.list_use_of_invoice(session, account_id, newest.id)
        nothing = await statements.list_use_of_invoice(session, account_id, first.id)
        with pytest.raises(UnknownInvoiceError):
            await statements.list_use_of_invoice(session, uuid4(), newest.id)
    assert (newest.status, newest.total_minor, newest.paid_minor) == ("paid", 175, 175)
    assert line.hours == ((told.hour, 1_500_000_000), (late.hour, 250_000_000))
    assert line.unexplained_nano == 0
    assert [one.hours for one in nothing] == []
    assert await counter.taken(account_id) == [175, 2900]


async def test_use_is_billed_and_reconciled_in_the_subscriptions_own_currency(counter):
    account_id = await counter.buyer("metered", currency="eur")
    metering = Metering(counter.database, counter.stripe().meters, clock=counter.clock)
    await metering.once()
    counter.clock.advance(3 * 3600)
    await used(counter, account_id, 2_000_000_000, ago_h=2)

    await counter.changes().cancel(counter.write(account_id, "POST /cancel"), at_period_end=False)
    await counter.hear()

    (row,) = await counter.rows("SELECT id FROM stripe_customer WHERE account_id = :id", id=account_id)
    start = counter.clock.now() - timedelta(days=1)
    lines = await counter.stripe().meters.list_use_lines(row.id, start=start, end=start + timedelta(days=2))
    assert [(one.units, one.amount_minor) for one in lines if one.units] == [(2_000_000, 200)]
    async with counter.database.reading() as session:
        newest, _ = await statements.list_invoices(session, account_id, before=None, limit=10)
    assert (newest.currency, newest.paid_minor) == ("eur", 200)


async def test_a_push_shows_and_makes_the_meter_and_its_prices_once(counter):
    catalogue = load_catalogue(counter.catalogue)
    pusher = Pusher(counter.database, counter.stripe(), clock=counter.clock)

    shown = [step for step in await pusher.diff(catalogue) if "meter" in step.action]
    await pusher.push(catalogue)
    again = Pusher(counter.database, counter.stripe(), clock=counter.clock)

    assert [(step.action, step.name) for step in shown] == [
        ("create meter", METER),
        ("create metered price", f"{METER}_eur_month"),
        ("create metered price", f"{METER}_usd_month"),
    ]
    assert await again.diff(catalogue) == []
    assert [one["event_name"] for one in counter.listed("billing/meters")] == [METER]


async def used(counter, account_id, amount_nano: int, *, ago_h: int) -> OverageAccrued:
    """The ledger tells of an hour past the plan."""
    now = counter.clock.now()
    event = OverageAccrued(
        id=uuid4(),
        time=now,
        account_id=account_id,
        plan_id="metered",
        plan_version=1,
        hour=now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=ago_h),
        sequence=1,
        collect="meter",
        unit="token",
        quantity=amount_nano,
        amount_nano=amount_nano,
    )
    async with counter.database.transaction() as session:
        await owe_overage(session, event, now=now)
    return event

"""Overage to Stripe, exactly once (money.md 32): over faults, time, and what Stripe finds wrong afterwards."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import stripe as sdk
from faults import FAULTS, FaultyTransport, FaultyWay, on_path
from sqlalchemy import text

from billing.adapters.stripe_api import StripeApi
from billing.domain.overage import METER, identifier_of
from billing.repository import accounts, payments
from billing.service.accounts import keep_account
from billing.service.metering import Metering
from billing.service.overage import add_units, owe_overage, reject_use, retry_rejected
from billing.service.reconciling import Reconciler
from contracts.auth import AccountCreated
from contracts.ledger import OverageAccrued
from contracts.money import Unit
from kit.clock import ManualClock
from kit.database import Database
from sandbox.fixtures_stripe import StripeServer, running_stripe_server

EVENTS = "/v1/billing/meter_events"
HOUR_S = 3600
MICRO = 1_000


@dataclass
class Meter:
    """An account with a subscription that the meter bills, and all that tells it."""

    account_id: UUID
    subscription: Any
    database: Database
    server: StripeServer
    clock: ManualClock
    stripe: StripeApi
    metering: Metering

    async def owes(
        self, amount_nano: int, *, sequence: int = 1, ago_h: int = 1, plan_version: int = 1
    ) -> OverageAccrued:
        hour = self.clock.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=ago_h)
        event = OverageAccrued(
            id=uuid4(),
            time=self.clock.now(),
            account_id=self.account_id,
            plan_id="meter_plan",
            plan_version=plan_version,
            hour=hour,
            sequence=sequence,
            collect="meter",
            unit=Unit.CREDIT,
            quantity=amount_nano,
            amount_nano=amount_nano,
        )
        await self.hear(event)
        return event

    async def hear(self, event: OverageAccrued) -> None:
        async with self.database.transaction() as session:
            await owe_overage(session, event, now=self.clock.now())

    async def counted(self) -> int:
        customer = self.subscription.customer
        start = self.clock.now() - timedelta(days=34)
        return await self.stripe.meters.count(customer, start=start, end=self.clock.now() + timedelta(minutes=6))

    async def rows(self) -> list[tuple[str, int]]:
        async with self.database.reading() as session:
            found = await session.execute(
                text("SELECT state, units FROM overage WHERE account_id = :id ORDER BY hour, sequence"),
                {"id": self.account_id},
            )
            return [(row.state, row.units) for row in found]

    async def settle(self) -> None:
        """Time goes on until nothing is on its way."""
        for _ in range(12):
            await self.metering.once()
            if not {"pending", "sent"} & {state for state, _ in await self.rows()}:
                return
            self.clock.advance(301)
        raise AssertionError(f"still on its way: {await self.rows()}")

    def through(self, transport: FaultyTransport) -> Metering:
        way = StripeApi(self.server.secret_key, api_url=self.server.base_url, http=FaultyWay(transport), retries=0)
        return Metering(self.database, way.meters, clock=self.clock)

    async def reconciled(self) -> Any:
        start = self.clock.now() - timedelta(days=40)
        reconciler = Reconciler(self.database, self.stripe.meters, clock=self.clock)
        found = await reconciler.reconcile(start=start, end=self.clock.now() + timedelta(days=1))
        return next(one for one in found if one.books.account_id == self.account_id)

    async def next_period(self) -> None:
        """Stripe begins the next one, and our books follow as they would by a webhook."""
        ends_at = (await self.stripe.get_subscription(self.subscription.id)).period_end
        ahead_s = int((ends_at - self.clock.now()).total_seconds()) + 60
        self.clock.advance(ahead_s)
        self.server.control("/sandbox/time", {"seconds": 1})
        await keep_subscription(
            self.database, self.account_id, await self.stripe.get_subscription(self.subscription.id)
        )


async def keep_subscription(database: Database, account_id: UUID, found: Any) -> None:
    async with database.transaction() as session:
        await payments.save_subscription(
            session,
            id=found.id,
            account_id=account_id,
            version=1,
            plan_id="meter_plan",
            plan_version=1,
            status=found.status,
            current_period_start=found.period_start,
            current_period_end=found.period_end,
            cancel_at_period_end=False,
        )


PLAN = """
    INSERT INTO offer_version (offer_id, version, kind, digest, currency, spec, effective_at, published_at)
    VALUES ('meter_plan', 1, 'plan', 'x', 'usd', '{"terms": {"overage": {"collect": "meter"}}}', now(), now())
    ON CONFLICT DO NOTHING
"""


async def subscribed(client: sdk.StripeClient) -> Any:
    customer = await client.v1.customers.create_async(
        {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}
    )
    price = await client.v1.prices.create_async(
        {"currency": "usd", "unit_amount": 2900, "recurring": {"interval": "month"}, "product_data": {"name": "Pro"}}
    )
    return await client.v1.subscriptions.create_async({"customer": customer.id, "items": [{"price": price.id}]})


@asynccontextmanager
async def metered(database: Database, server: StripeServer, clock: ManualClock):
    stripe = StripeApi(server.secret_key, api_url=server.base_url)
    subscription, account_id = await subscribed(stripe.client), uuid4()
    created = AccountCreated(
        id=uuid4(), time=clock.now(), account_id=account_id, kind="personal", owner_user_id=uuid4()
    )
    async with database.transaction() as session:
        await session.execute(text(PLAN))
        await keep_account(session, created)
        await accounts.insert_customer(session, account_id, subscription.customer)
    await keep_subscription(database, account_id, await stripe.get_subscription(subscription.id))
    metering = Metering(database, stripe.meters, clock=clock)
    await metering.once()
    clock.advance(2 * HOUR_S)
    yield Meter(account_id, subscription, database, server, clock, stripe, metering)


@pytest.fixture
async def meter(migrated_url):
    clock = ManualClock()
    database = Database(await migrated_url(), source="billing")
    with running_stripe_server(clock=clock) as server:
        async with metered(database, server, clock) as found:
            yield found
    await database.close()


async def test_what_accrued_is_counted_once_in_whole_units_and_the_rest_is_carried(meter):
    await meter.owes(1_500)
    await meter.owes(2_700, sequence=2)

    await meter.settle()

    assert await meter.counted() == 4
    assert sum(units for _, units in await meter.rows()) == 4


async def test_the_same_hour_heard_twice_is_counted_once(meter):
    event = await meter.owes(5 * MICRO)
    await meter.hear(event)
    await meter.settle()
    await meter.hear(event)
    await meter.settle()

    assert await meter.counted() == 5


async def test_what_comes_late_for_an_hour_takes_the_next_sequence(meter):
    await meter.owes(5 * MICRO)
    await meter.settle()
    await meter.owes(7 * MICRO, sequence=2)
    await meter.settle()

    assert await meter.rows() == [("accepted", 5), ("accepted", 7)]
    assert await meter.counted() == 12


async def test_a_reduction_is_offset_by_what_comes_next(meter):
    await meter.owes(-3 * MICRO)
    await meter.owes(5 * MICRO, sequence=2)

    await meter.settle()

    assert await meter.counted() == 2


@pytest.mark.parametrize("fault", FAULTS)
async def test_whatever_happens_on_the_way_an_hour_is_counted_once(meter, fault):
    await meter.owes(5 * MICRO)
    transport = FaultyTransport(fault, on_path(EVENTS, times=2))
    faulty = meter.through(transport)
    for _ in range(3):
        await faulty.once()
        meter.clock.advance(301)

    await meter.settle()

    assert len(transport.struck) >= 1
    assert await meter.counted() == 5
    assert [state for state, _ in await meter.rows()] == ["accepted"]


@pytest.mark.parametrize(("fault", "outcome"), [("cut after", ["accepted"]), ("cut before", ["expired", "accepted"])])
async def test_an_outcome_unknown_for_a_day_is_looked_up_and_never_sent_blindly(meter, fault, outcome):
    await meter.owes(5 * MICRO)
    await meter.through(FaultyTransport(fault, on_path(EVENTS))).once()
    meter.clock.advance(25 * HOUR_S)

    await meter.settle()

    assert await meter.counted() == 5
    assert [state for state, _ in await meter.rows()] == outcome


@pytest.mark.parametrize(("fault", "outcome"), [("cut after", ["accepted"]), ("cut before", ["expired", "accepted"])])
async def test_an_outcome_unknown_when_the_invoice_becomes_final_is_billed_once(meter, fault, outcome):
    meter.clock.advance(28 * 24 * HOUR_S)
    ends_at = (await meter.stripe.get_subscription(meter.subscription.id)).period_end
    meter.clock.advance(int((ends_at - meter.clock.now()).total_seconds()) - HOUR_S)
    await meter.owes(5 * MICRO)
    await meter.through(FaultyTransport(fault, on_path(EVENTS))).once()
    await meter.next_period()
    meter.clock.advance(HOUR_S)
    await meter.metering.once()
    unsent = await meter.rows()
    meter.clock.advance(HOUR_S)

    await meter.settle()

    late = await meter.stripe.meters.count(meter.subscription.customer, start=ends_at, end=meter.clock.now())
    assert unsent == [("sent", 5)]
    assert [state for state, _ in await meter.rows()] == outcome
    assert (await meter.counted(), late) == (5, 0 if fault == "cut after" else 5)


async def test_use_of_more_than_35_days_ago_is_dated_now(meter):
    meter.clock.advance(40 * 24 * HOUR_S)
    await meter.owes(5 * MICRO, ago_h=39 * 24)

    await meter.settle()

    assert await meter.counted() == 5


async def test_what_stripe_finds_wrong_afterwards_is_rejected_and_can_be_sent_anew(meter):
    await meter.owes(5 * MICRO)
    await meter.settle()
    async with meter.database.reading() as session:
        found = text("SELECT identifier FROM overage WHERE account_id = :id")
        identifier = await session.scalar(found, {"id": meter.account_id})

    async with meter.database.transaction() as session:
        await reject_use(session, [(identifier, "meter_event_customer_not_found")])
    assert any("5 units rejected" in problem for problem in (await meter.reconciled()).problems)
    assert await meter.stripe.meters.cancel(identifier)
    async with meter.database.transaction() as session:
        await retry_rejected(session, now=meter.clock.now())
    await meter.settle()

    assert await meter.counted() == 5


async def test_a_period_is_reported_counted_invoiced_and_paid_to_the_cent(meter):
    for hour in range(1, 4):
        await meter.owes(1_234_567_000, ago_h=hour)
    await meter.settle()
    await meter.next_period()
    await meter.settle()
    meter.clock.advance(2 * HOUR_S)
    meter.server.control("/sandbox/time", {"seconds": 1})

    found = await meter.reconciled()

    billed = next(line for line in found.billed if line.invoiced_units)
    assert found.problems == ()
    assert (billed.reported_units, billed.counted_units) == (3_703_701, 3_703_701)
    assert (billed.status, billed.invoiced_minor, billed.paid_minor) == ("paid", 370, 370)


async def test_a_difference_is_named_and_repaired(meter):
    await meter.owes(5_000_000 * MICRO)
    await meter.settle()
    async with meter.database.reading() as session:
        found = text("SELECT identifier FROM overage WHERE account_id = :id")
        identifier = await session.scalar(found, {"id": meter.account_id})
    assert await meter.stripe.meters.cancel(identifier)
    reconciler = Reconciler(meter.database, meter.stripe.meters, clock=meter.clock)

    done = await reconciler.repair(meter.account_id)
    await meter.settle()

    assert done == [f"{identifier}: reported anew"]
    assert await meter.counted() == 5_000_000


async def test_what_was_counted_too_much_is_taken_back(meter):
    await meter.owes(5 * MICRO)
    await meter.settle()
    await meter.stripe.client.v1.billing.meter_events.create_async(
        {
            "event_name": METER,
            "identifier": "stray",
            "payload": {"stripe_customer_id": meter.subscription.customer, "value": "70000"},
            "timestamp": int((meter.clock.now() - timedelta(hours=1)).replace(minute=30).timestamp()),
        }
    )
    reconciler = Reconciler(meter.database, meter.stripe.meters, clock=meter.clock)

    done = await reconciler.repair(meter.account_id)

    pending = await meter.stripe.client.v1.invoice_items.list_async({"customer": meter.subscription.customer})
    assert done == ["7 given back on the next invoice"]
    assert [item.amount for item in pending.data] == [-7]


async def test_two_that_report_at_once_count_once(meter):
    for hour in range(1, 6):
        await meter.owes(MICRO, ago_h=hour)
    other = Metering(meter.database, meter.stripe.meters, clock=meter.clock)

    await asyncio.gather(meter.metering.once(), other.once(), meter.metering.once())
    await meter.settle()

    assert await meter.counted() == 5


async def test_a_thin_event_that_names_our_row_rejects_it(billing):
    account = await billing.known_account()
    hour = billing.clock.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    async with billing.database.transaction() as session:
        await add_units(session, account.id, hour, units=5, now=billing.clock.now())
    stripe = StripeApi(billing.stripe.secret_key, api_url=billing.stripe.base_url)
    await stripe.meters.meter_id()

    await stripe.client.v1.billing.meter_events.create_async(
        {
            "event_name": METER,
            "identifier": identifier_of(account.id, hour, 1),
            "payload": {"stripe_customer_id": "cus_nobody", "value": "5"},
        }
    )

    state = "account_id = :id AND state = 'rejected' AND reason = 'meter_event_customer_not_found'"
    await billing.eventually(lambda: billing.count("overage", state, id=account.id), 1)

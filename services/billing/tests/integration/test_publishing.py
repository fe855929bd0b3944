"""Versions of offers, leases and the inbox on a real database."""

import asyncio
from datetime import timedelta
from pathlib import Path

import orjson
import pytest_asyncio
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from billing.adapters.catalogue_file import load_catalogue
from billing.cli import cli
from billing.domain.catalogue import Catalogue
from billing.domain.states import StripeEvent
from billing.errors import PaymentRefusedError
from billing.service import inbox
from billing.service.catalogue import list_offers, publish_again, publish_catalogue
from billing.settings import SHIPPED_CATALOGUE
from billing.tables import Base
from kit import migrations
from kit.clock import ManualClock
from kit.database import Database
from kit.testing_commands import called

PRICES = {"trial": 0, "starter": 2000, "credits_10": 1000, "credits_25": 2500, "top_up": 0}
MIGRATIONS = Path(__file__).parents[2] / "migrations"


@pytest_asyncio.fixture
async def database(migrated_url):
    made = Database(await migrated_url(), source="billing")
    yield made
    await made.close()


@pytest_asyncio.fixture
async def clock():
    return ManualClock()


async def publish(database: Database, catalogue: Catalogue, clock: ManualClock) -> list[tuple[str, int]]:
    async with database.transaction() as session:
        published = await publish_catalogue(session, catalogue, now=clock.now())
    return [(terms.offer_id, terms.version) for terms in published]


async def outbox(database: Database) -> list[dict]:
    async with database.reading() as session:
        rows = await session.execute(text("SELECT value FROM outbox ORDER BY id"))
        return [orjson.loads(row.value) for row in rows]


def dearer(catalogue: Catalogue) -> Catalogue:
    starter = catalogue.plans["starter"].model_copy(update={"price_minor": 2500})
    return catalogue.model_copy(update={"plans": {**catalogue.plans, "starter": starter}})


async def test_an_unchanged_catalogue_publishes_nothing_new(database, clock):
    catalogue = load_catalogue(SHIPPED_CATALOGUE)

    first = await publish(database, catalogue, clock)
    second = await publish(database, catalogue, clock)

    assert first == [("trial", 1), ("starter", 1), ("credits_10", 1), ("credits_25", 1), ("top_up", 1)]
    assert second == []
    events = await outbox(database)
    assert [(one["type"], one["subject"]) for one in events] == [
        ("billing.plan-published.v1", "trial:1"),
        ("billing.plan-published.v1", "starter:1"),
    ]
    trial = events[0]["data"]
    assert trial["default"] is True
    assert trial["allowances"] == [
        {
            "rule": "trial",
            "unit": "credit",
            "amount": "5000000000",
            "valid_days": 14,
            "priority": 100,
            "roll_over": "none",
            "roll_over_cap": None,
        }
    ]


async def test_a_changed_plan_is_a_new_version_that_holds_five_minutes_later(database, clock):
    """(money.md 19)."""
    catalogue = load_catalogue(SHIPPED_CATALOGUE)
    await publish(database, catalogue, clock)

    changed = await publish(database, dearer(catalogue), clock)

    assert changed == [("starter", 2)]
    assert await prices(database, clock) == PRICES
    newest = (await outbox(database))[-1]["data"]
    assert (newest["version"], newest["price_minor"]) == (2, "2500")
    assert newest["effective_at"] == (clock.now() + timedelta(minutes=5)).isoformat().replace("+00:00", "Z")
    clock.advance(300)
    assert (await prices(database, clock))["starter"] == 2500


async def test_an_offer_that_left_the_file_is_no_longer_on_sale(database, clock):
    catalogue = load_catalogue(SHIPPED_CATALOGUE)
    await publish(database, catalogue, clock)

    await publish(database, catalogue.model_copy(update={"bundles": {}}), clock)
    assert set(await prices(database, clock)) == {"trial", "starter", "top_up"}
    back = await publish(database, catalogue, clock)

    assert back == []
    assert set(await prices(database, clock)) == set(PRICES)


async def test_plans_stated_again_are_the_same_events(database, clock):
    """(money.md 26)."""
    await publish(database, load_catalogue(SHIPPED_CATALOGUE), clock)
    first = await outbox(database)

    async with database.transaction() as session:
        assert await publish_again(session) == 2

    again = (await outbox(database))[len(first) :]
    assert sorted((one["id"], one["subject"]) for one in again) == sorted((one["id"], one["subject"]) for one in first)


async def prices(database: Database, clock: ManualClock) -> dict[str, int]:
    async with database.reading() as session:
        return {terms.offer_id: terms.price_minor for terms in await list_offers(session, now=clock.now())}


async def test_a_lease_has_one_holder_and_an_overtaken_one_is_told(database, clock):
    first = await take(database, clock)
    assert first is not None
    assert await take(database, clock) is None

    clock.advance(inbox.LEASE.total_seconds() + 1)
    second = await take(database, clock)

    assert second is not None
    assert second.fence > first.fence
    event = StripeEvent("evt_1", "invoice.paid", "in_1", "cus_1", clock.now())
    try:
        async with database.transaction() as session:
            await inbox.begin_applying(session, [event], first)
    except inbox.LeaseLostError:
        return
    raise AssertionError("the overtaken holder was not told")


async def take(database: Database, clock: ManualClock) -> inbox.Lease | None:
    async with database.transaction() as session:
        return await inbox.take_lease(session, "cus_1", now=clock.now())


async def test_an_event_is_retried_with_growing_waits_and_parked_at_last(database, clock):
    event = StripeEvent("evt_1", "invoice.paid", "in_1", "cus_1", clock.now())
    async with database.transaction() as session:
        assert await inbox.store_events(session, [event], source="webhook", now=clock.now()) == 1
        assert await inbox.store_events(session, [event], source="poll", now=clock.now()) == 0
    tries = 0
    while due := await list_due(database, clock):
        tries += 1
        async with database.transaction() as session:
            await inbox.set_back(session, due[0], inbox.LeaseLostError("again"), now=clock.now())
        assert await list_due(database, clock) == []
        clock.advance(inbox.LONGEST_WAIT_S)

    assert tries == inbox.MOST_ATTEMPTS
    async with database.transaction() as session:
        (parked,) = await inbox.list_events(session, "failed", limit=10)
        assert await inbox.retry_failed(session, [], now=clock.now()) == ["evt_1"]
    assert parked.reason == "lease_lost: again"
    assert len(await list_due(database, clock)) == 1


async def test_a_contradiction_is_parked_at_once(database, clock):
    event = StripeEvent("evt_1", "invoice.paid", "in_1", "cus_1", clock.now())
    async with database.transaction() as session:
        await inbox.store_events(session, [event], source="webhook", now=clock.now())
        await inbox.set_back(session, event, PaymentRefusedError("no"), now=clock.now())

    assert await list_due(database, clock) == []


async def list_due(database: Database, clock: ManualClock) -> list[StripeEvent]:
    async with database.reading() as session:
        return await inbox.list_due(session, now=clock.now(), limit=10)


async def test_migrations_go_up_and_down_step_by_step_and_end_at_the_tables(fresh_database):
    url = await fresh_database("billing")
    config = migrations.config(MIGRATIONS, url)
    revisions = [one.revision for one in ScriptDirectory.from_config(config).walk_revisions()][::-1]
    for revision in revisions:
        await in_thread(command.upgrade, config, revision)
        await in_thread(command.downgrade, config, "-1")
        await in_thread(command.upgrade, config, revision)
    database = Database(url, source="billing")
    async with database.engine.connect() as connection:
        made = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names()))
    await database.close()

    await in_thread(command.check, config)

    assert made == {*Base.metadata.tables, "alembic_version"}


async def in_thread(work, *arguments):

    return await asyncio.to_thread(work, *arguments)


async def test_the_commands_show_publish_and_retry(migrated_url, make_settings, stack, tmp_path):
    env = {
        "FAREGATE_ENVIRONMENT": "sandbox",
        "FAREGATE_KAFKA_BOOTSTRAP": stack.kafka_bootstrap,
        "FAREGATE_PUBLIC_URL": "http://127.0.0.1:8080",
        "FAREGATE_AUTH_URL": "http://127.0.0.1:9",
        "FAREGATE_BILLING_PORT": "8083",
        "FAREGATE_BILLING_DATABASE_URL": await migrated_url(),
        "FAREGATE_STRIPE_SECRET_KEY": "sk_test_x",
        "FAREGATE_STRIPE_WEBHOOK_SECRET": "whsec_x",
    }
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("format = 1")

    published = await called(cli, "catalogue", "publish", env=env)
    shown = await called(cli, "catalogue", "show", env=env)
    listed = await called(cli, "webhooks", "list", env=env)
    retried = await called(cli, "webhooks", "retry", env=env)
    refused = await called(cli, "serve", env={**env, "FAREGATE_BILLING_CATALOGUE": str(wrong)})

    assert "5 new versions" in published.stdout, published.stderr
    assert "starter v1: 20.00 usd / month, 20 credits" in shown.stdout
    assert (listed.returncode, listed.stdout) == (0, "")
    assert "0 events are pending again" in retried.stdout
    assert refused.returncode == 2
    assert "currency: Field required" in refused.stderr

"""The composition root: settings in, a running ledger out."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2
from fastapi import FastAPI

from contracts.auth import ProjectShareChanged
from kit.clock import Clock
from kit.consumer import Lanes
from kit.garbage import collect_seldom, keep_freed_memory
from kit.identity import ServiceTokens
from kit.service import Service
from kit.settings import ServiceSettings
from kit.state import StateReader
from kit.tokens import KeySource
from ledger.adapters.dead_letters import DeadLetters
from ledger.adapters.gateways import GatewayJournals
from ledger.adapters.positions import UsagePositions
from ledger.adapters.retention import UsageRetention
from ledger.entrypoints import audit, http, internal, internal_usage, operator, reports
from ledger.entrypoints.events import UseCases, build_consumer
from ledger.service.accounts import Accounts
from ledger.service.adjusting import Adjusting
from ledger.service.auditing import Auditing
from ledger.service.booking import GROUP, Booking
from ledger.service.budgeting import Budgeting
from ledger.service.catalogue import Catalogue
from ledger.service.exporting import Exporting
from ledger.service.forecasting import Forecasting
from ledger.service.freezing import Freezing
from ledger.service.granting import Granting
from ledger.service.holding import Holding
from ledger.service.housekeeping import Housekeeping
from ledger.service.promoting import Promoting
from ledger.service.reading import Reading
from ledger.service.reconciling import Reconciling
from ledger.service.refunding import Refunding
from ledger.service.renewing import Renewal, Renewing
from ledger.service.reporting import Reporting
from ledger.service.reversing import Reversing
from ledger.service.scheduling import ReconcileSchedule
from ledger.service.sealing import Sealing
from ledger.service.setting_levels import SettingLevels
from ledger.service.sharing import SharedProjects
from ledger.service.stating import Stating
from ledger.service.upkeep import Upkeep
from ledger.settings import LedgerSettings

BATCH_RECORDS = 6_000
"""When there is lag: what an account costs beside its calls is paid once per batch; a snapshot still fits a record.

Larger ones fall out of the processor's caches: of twice as many, where each call has an account of its own, each takes
a fifth longer.
"""
LANES = Lanes(3)
"""Transactions of one batch side by side, by account: PostgreSQL works for one while Python works on another."""
FETCH_WAIT_MS = 50
"""A balance is seen that much later at most; what it costs an idle machine stands in docs/performance.md."""


def create_app(settings: ServiceSettings, keys: KeySource | None = None) -> FastAPI:
    """The ledger's HTTP app; its lifespan consumes, relays and keeps house."""
    assert isinstance(settings, LedgerSettings)
    clock, catalogue = settings.clock(), Catalogue()
    use = build_use_cases(settings, clock, catalogue)
    service = Service(
        name="ledger",
        settings=settings,
        database_url=settings.database_url.get_secret_value(),
        consumer=build_consumer(use),
        keys=keys,
        max_records=BATCH_RECORDS,
        lanes=LANES,
        fetch_wait_ms=FETCH_WAIT_MS,
    )
    service.background["housekeeping"] = Housekeeping(service.database, clock, settings.price_book).run
    renewal = Renewal(service.database, Renewing(catalogue, clock), clock)
    shared = SharedProjects()
    _learn_shares(service, shared)
    service.background["sealing"] = Sealing(service.database, clock).run
    service.background["renewal"] = renewal.run
    letters = DeadLetters(settings.kafka_bootstrap)
    reconciling = Reconciling(service.database, clock, build_journals(settings, service.http), letters)
    settle = timedelta(seconds=settings.reconcile_settle_s)
    service.background["reconciling"] = ReconcileSchedule(reconciling, settle).run
    retention = UsageRetention(settings.kafka_bootstrap, books_years=settings.books_years)
    service.ready["retention"] = retention.ready
    positions = UsagePositions(settings.kafka_bootstrap, group=GROUP)
    service.background["upkeep"] = Upkeep(service.database, clock, settings.margin_floor_bps).run
    reading, reporting, promoting = Reading(catalogue, clock), Reporting(clock), Promoting(catalogue, clock)
    routers = [
        http.build_router(
            reading,
            forecasting=Forecasting(catalogue, clock),
            stating=Stating(clock),
            exporting=Exporting(service.database),
            promoting=promoting,
            setting=SettingLevels(use.accounts, clock),
        ),
        audit.build_router(Auditing(clock)),
        operator.build_router(
            Adjusting(catalogue, clock),
            refunding=Refunding(catalogue, clock),
            promoting=promoting,
            holding=Holding(Freezing(catalogue, clock), clock),
        ),
        reports.build_router(reporting),
        internal_usage.build_router(reporting),
        internal.build_router(reading, positions),
    ]
    app = service.app(title="Faregate ledger", routers=routers, state={"shared_projects": shared})
    _live_with(app, positions, retention)
    return app


def _learn_shares(service: Service, shared: SharedProjects) -> None:
    bootstrap = service.settings.kafka_bootstrap
    handlers: dict[type[Any], Callable[[Any], None]] = {ProjectShareChanged: shared.on_changed}
    reader = StateReader(bootstrap, handlers, clock=service.clock, client_id="ledger-shares")

    async def caught_up() -> None:
        if not reader.caught_up.is_set():
            raise RuntimeError("shares of projects are still being read")

    service.background["shares"] = reader.run
    service.ready["shares"] = caught_up


def build_use_cases(settings: LedgerSettings, clock: Clock, catalogue: Catalogue) -> UseCases:
    """What the consumer calls, in the service and in commands that apply events."""
    return UseCases(
        accounts=Accounts(catalogue, clock),
        granting=Granting(catalogue, clock),
        reversing=Reversing(catalogue, clock),
        booking=Booking(catalogue, clock, settings.books_years),
        budgeting=Budgeting(catalogue, clock),
    )


def build_journals(settings: LedgerSettings, http_client: httpx2.AsyncClient) -> GatewayJournals:
    """The gateways' journals; without a secret of our own they count as not reachable."""
    tokens = None
    if settings.service_secret is not None:
        tokens = ServiceTokens(
            service="ledger",
            secret=settings.service_secret.get_secret_value(),
            auth_url=settings.auth_url,
            http=http_client,
            clock=settings.clock(),
        )
    return GatewayJournals(settings.gateways, http=http_client, tokens=tokens)


def _live_with(app: FastAPI, positions: UsagePositions, retention: UsageRetention) -> None:
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await retention.refuse_at_start()
        async with inner(app):
            collect_seldom()
            keep_freed_memory()
            try:
                yield
            finally:
                await positions.close()

    app.router.lifespan_context = lifespan

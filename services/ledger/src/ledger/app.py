"""The composition root: settings in, a running ledger out."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from kit.service import Service
from kit.settings import ServiceSettings
from kit.tokens import KeySource
from ledger.adapters.positions import UsagePositions
from ledger.adapters.retention import UsageRetention
from ledger.entrypoints import http, internal, operator
from ledger.entrypoints.events import UseCases, build_consumer
from ledger.service.accounts import Accounts
from ledger.service.adjusting import Adjusting
from ledger.service.booking import GROUP, Booking
from ledger.service.catalogue import Catalogue
from ledger.service.granting import Granting
from ledger.service.housekeeping import Housekeeping
from ledger.service.reading import Reading
from ledger.service.reversing import Reversing
from ledger.settings import LedgerSettings


def create_app(settings: ServiceSettings, keys: KeySource | None = None) -> FastAPI:
    """The ledger's HTTP app; its lifespan consumes, relays and keeps house."""
    assert isinstance(settings, LedgerSettings)
    clock, catalogue = settings.clock(), Catalogue()
    use = UseCases(
        accounts=Accounts(catalogue, clock),
        granting=Granting(catalogue, clock),
        reversing=Reversing(catalogue, clock),
        booking=Booking(catalogue, clock, settings.books_years),
    )
    service = Service(
        name="ledger",
        settings=settings,
        database_url=settings.database_url.get_secret_value(),
        consumer=build_consumer(use),
        keys=keys,
    )
    service.background["housekeeping"] = Housekeeping(service.database, clock, settings.price_book).run
    retention = UsageRetention(settings.kafka_bootstrap, books_years=settings.books_years)
    service.ready["retention"] = retention.ready
    positions = UsagePositions(settings.kafka_bootstrap, group=GROUP)
    reading = Reading(catalogue, clock)
    routers = [
        http.build_router(reading),
        operator.build_router(Adjusting(catalogue, clock)),
        internal.build_router(reading, positions),
    ]
    app = service.app(title="Faregate ledger", routers=routers)
    _live_with(app, positions, retention)
    return app


def _live_with(app: FastAPI, positions: UsagePositions, retention: UsageRetention) -> None:
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await retention.refuse_at_start()
        async with inner(app):
            # A batch makes tens of thousands of objects that die together; the usual thresholds would walk the whole
            # heap several times per batch, a quarter of the time that booking takes.
            gc.freeze()
            gc.set_threshold(100_000, 50, 100)
            try:
                yield
            finally:
                await positions.close()

    app.router.lifespan_context = lifespan

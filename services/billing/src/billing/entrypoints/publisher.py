"""Publishes the catalogue once when the service starts."""

import asyncio

from sqlalchemy.exc import SQLAlchemyError

from billing.domain.catalogue import Catalogue
from billing.service.catalogue import publish_catalogue
from kit import logging
from kit.backoff import Backoff
from kit.clock import Clock
from kit.database import Database

log = logging.get(__name__)


class CataloguePublisher:
    """Tries until the database answers; the service is not ready before."""

    def __init__(self, database: Database, catalogue: Catalogue, *, clock: Clock) -> None:
        self._database = database
        self._catalogue = catalogue
        self._clock = clock
        self._published = asyncio.Event()

    async def run(self) -> None:
        """Publish, then wait to be cancelled: a background task that ends counts as dead."""
        backoff = Backoff()
        while not self._published.is_set():
            try:
                async with self._database.transaction() as session:
                    published = await publish_catalogue(session, self._catalogue, now=self._clock.now())
            except (SQLAlchemyError, OSError) as error:
                log.warning("billing.catalogue_delayed", reason=type(error).__name__)
                await asyncio.sleep(backoff.next_s())
                continue
            for terms in published:
                log.info("billing.offer_published", offer=terms.offer_id, version=terms.version)
            self._published.set()
        await asyncio.Event().wait()

    async def ready(self) -> None:
        """Raise `RuntimeError` until the catalogue is published."""
        if not self._published.is_set():
            raise RuntimeError("the catalogue is not published yet")

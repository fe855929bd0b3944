"""Looks once an hour whether Stripe still collects the taxes that are switched on."""

import asyncio
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from billing.service.taxes import Taxes
from kit import logging
from kit.errors import DomainError

log = logging.get(__name__)

LOOK_EVERY_S: Final = 3600.0


async def watch_taxes(taxes: Taxes) -> None:
    """Look until cancelled; Stripe or the database away means looking again later."""
    while True:
        try:
            await taxes.watch()
        except (DomainError, SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("billing.tax_watch_delayed", reason=type(error).__name__)
        await asyncio.sleep(LOOK_EVERY_S)

"""How models are used, asked of the ledger before something is published."""

import httpx2

from billing.adapters.ledger_api import LedgerApi
from billing.service.margins import mixes_of
from billing.settings import BillingSettings
from kit import logging
from kit.errors import UnavailableError
from kit.identity import ServiceTokens
from rating.margin import Mixes

log = logging.get(__name__)


async def fetch_mixes(settings: BillingSettings) -> Mixes:
    """The mixes of the last thirty days; none where the ledger is not known or does not answer."""
    if settings.ledger_url is None or settings.service_secret is None:
        return {}
    async with httpx2.AsyncClient(timeout=5.0) as http:
        tokens = ServiceTokens(
            service="billing",
            secret=settings.service_secret.get_secret_value(),
            auth_url=settings.auth_url,
            http=http,
            clock=settings.clock(),
        )
        try:
            return mixes_of(await LedgerApi(settings.ledger_url, http=http, tokens=tokens).usage_mix())
        except UnavailableError as error:
            log.warning("billing.usage_mix_not_known", reason=error.detail)
            return {}

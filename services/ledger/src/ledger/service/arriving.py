"""Which usage events can be booked at all, and at what price."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.gateway import UsageRecorded
from kit import logging
from kit.consumer import Batch
from kit.errors import DomainError, MissingReferentError
from kit.received import Received
from ledger.domain.plans import Plans
from ledger.domain.pricing import RatedCall, rate, with_terms
from ledger.domain.vectors import rate_plain
from ledger.metrics import ADMISSION_SKEWED
from ledger.repository.accounts import list_known
from ledger.service.catalogue import Catalogue
from ledger.service.operations import Arrival
from ledger.service.saving import account_referent
from rating import PriceBook

log = logging.get(__name__)

FUTURE: Final = timedelta(days=1)
SKEW_S: Final = 60.0
YEAR: Final = timedelta(days=365)
UUID7: Final = 7
RFC_VARIANT: Final = 0b10


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which instants, in seconds, calls are made and admitted (money.md 18)."""

    oldest_s: float
    newest_s: float

    @classmethod
    def at(cls, now: datetime, *, books_years: int) -> "Bounds":
        return cls((now - books_years * YEAR).timestamp(), (now + FUTURE).timestamp())

    def refusal(self, event: UsageRecorded) -> str | None:
        """Why an event cannot be booked."""
        number = event.id.int
        if (number >> 76) & 0xF != UUID7 or (number >> 62) & 0b11 != RFC_VARIANT:
            return "the call id is not a UUIDv7"
        made_s, admitted_s = (number >> 80) / 1000, event.admitted_at.timestamp()
        if made_s > self.newest_s or admitted_s > self.newest_s:
            return "the call is from the future"
        if made_s < self.oldest_s or admitted_s < self.oldest_s:
            return "the call is older than the books"
        if abs(made_s - admitted_s) > SKEW_S:
            ADMISSION_SKEWED.inc()
            log.error("ledger.admission_skewed", call_id=str(event.id), gateway=event.gateway_instance)
        return None


async def rated_arrivals(session: AsyncSession, batch: Batch, *, catalogue: Catalogue, bounds: Bounds) -> list[Arrival]:
    """The calls of a batch that can be booked; others are parked or set aside."""
    sound: list[Received[UsageRecorded]] = []
    for received in batch.received:
        reason = bounds.refusal(received.event)
        if reason is None:
            sound.append(received)
        else:
            batch.reject(received, reason)
    # Keys are claimed before anything else, so whose they are is asked; all other calls find out as they are claimed.
    asked = {one.event.account_id for one in sound if one.event.operation is not None}
    unknown = asked - await list_known(session, asked)
    prices = await catalogue.books(session)
    stamped = {(one.event.plan_id, one.event.plan_version) for one in sound}
    versions = {(plan_id, version) for plan_id, version in stamped if plan_id is not None and version is not None}
    plans = await catalogue.plan_rates(session, versions)
    arrivals: list[Arrival] = []
    for received in sound:
        if received.event.account_id in unknown:
            batch.park(received, account_referent(received.event.account_id))
        elif (call := _rated(received, batch, prices, plans)) is not None:
            arrivals.append((call, received))
    return arrivals


def _rated(
    received: Received[UsageRecorded], batch: Batch, prices: Mapping[int, PriceBook], plans: Plans
) -> RatedCall | None:
    event, digest = received.event, received.envelope.digest
    plain = rate_plain(event, digest=digest, books=prices)
    try:
        if plain is None:
            return rate(event, digest=digest, books=prices, plans=plans)
        return with_terms(plain, plans)
    except MissingReferentError as missing:
        batch.park(received, missing.referent)
    except DomainError as error:
        batch.reject(received, f"{error.code}: {error.detail}")
    return None

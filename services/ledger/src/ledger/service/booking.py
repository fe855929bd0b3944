"""Usage events become charges: one transaction per batch, in the order of money.md 17."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.gateway import UsageRecorded
from kit import logging, metrics
from kit.clock import Clock
from kit.consumer import Batch
from kit.errors import DomainError, MissingReferentError
from kit.ids import uuid7_instant
from kit.received import Received
from ledger.domain.book import AccountBook
from ledger.domain.pricing import ORPHANED, CallKey, RatedCall, rate
from ledger.metrics import ADMISSION_SKEWED, CALLS_BOOKED, ORPHANS_REPLACED, ORPHANS_SKIPPED
from ledger.repository.accounts import list_known
from ledger.repository.charges import StandingCharge, insert_charges, insert_details, list_charges, replace_charges
from ledger.service.catalogue import Catalogue
from ledger.service.saving import account_referent, lock_books, save
from rating import PriceBook

log = logging.get(__name__)

GROUP: Final = "ledger"
FUTURE: Final = timedelta(days=1)
SKEW: Final = timedelta(seconds=60)
YEAR: Final = timedelta(days=365)

Verdict = Literal["replaces", "repeated", "skipped", "conflict"]
Arrival = tuple[RatedCall, Received[UsageRecorded]]


@dataclass(frozen=True, slots=True)
class Booking:
    """Charges calls, each once."""

    catalogue: Catalogue
    clock: Clock
    books_years: int

    async def book_usage(self, session: AsyncSession, batch: Batch) -> None:
        """Charge what is new, pass over what is known, park what must wait, set aside what cannot be."""
        now = self.clock.now()
        arrivals = await self._rated(session, batch, now=now)
        chosen = _distinct(arrivals, batch)
        calls = [call for call, _ in sorted(chosen.values(), key=lambda arrival: arrival[0].event.id.int)]
        if not calls:
            return
        new = await insert_charges(session, calls, now=now)
        oldest = min(call.event.admitted_at for call in calls)
        books = await lock_books(session, {call.event.account_id for call in calls}, alive_at=oldest, now=now)
        standing = await list_charges(session, [call for call in calls if call.key not in new])
        replacing = _replacing(chosen, standing, batch)
        if replacing:
            await replace_charges(session, replacing, now=now)
        booked = _post(calls, books, new=new, replaced={call.key: standing[call.key] for call in replacing})
        await insert_details(session, booked)
        await save(session, list(books.values()), catalogue=self.catalogue, now=now)

    async def _rated(self, session: AsyncSession, batch: Batch, *, now: datetime) -> list[Arrival]:
        sound = [received for received in batch.received if self._is_sound(received, batch, now=now)]
        known = await list_known(session, {received.event.account_id for received in sound})
        prices = await self.catalogue.books(session)
        arrivals: list[Arrival] = []
        for received in sound:
            if received.event.account_id not in known:
                batch.park(received, account_referent(received.event.account_id))
            elif (call := _rate(received, batch, prices)) is not None:
                arrivals.append((call, received))
        return arrivals

    def _is_sound(self, received: Received[UsageRecorded], batch: Batch, *, now: datetime) -> bool:
        event = received.event
        if event.id.version != 7:
            batch.reject(received, "the call id is not a UUIDv7")
            return False
        made_at = uuid7_instant(event.id)
        if max(made_at, event.admitted_at) > now + FUTURE:
            batch.reject(received, "the call is from the future")
            return False
        if min(made_at, event.admitted_at) < now - self.books_years * YEAR:
            batch.reject(received, "the call is older than the books")
            return False
        if abs(made_at - event.admitted_at) > SKEW:
            ADMISSION_SKEWED.inc()
            log.error("ledger.admission_skewed", call_id=str(event.id), gateway=event.gateway_instance)
        return True


def _rate(received: Received[UsageRecorded], batch: Batch, prices: Mapping[int, PriceBook]) -> RatedCall | None:
    try:
        return rate(received.event, digest=received.envelope.digest, books=prices)
    except MissingReferentError as missing:
        batch.park(received, missing.referent)
    except DomainError as error:
        batch.reject(received, f"{error.code}: {error.detail}")
    return None


def _distinct(arrivals: Sequence[Arrival], batch: Batch) -> dict[CallKey, Arrival]:
    """One arrival per call; the rules between two of them are those against what is booked."""
    chosen: dict[CallKey, Arrival] = {}
    for call, received in arrivals:
        first = chosen.get(call.key)
        if first is None:
            chosen[call.key] = (call, received)
            continue
        verdict = _verdict(call, digest=first[0].digest, outcome=first[0].event.outcome)
        if verdict == "replaces":
            chosen[call.key] = (call, received)
        _note(verdict, received, batch)
    return chosen


def _replacing(
    chosen: Mapping[CallKey, Arrival], standing: Mapping[CallKey, StandingCharge], batch: Batch
) -> list[RatedCall]:
    """Of the calls that are booked already, those whose real end takes the place of an orphaned one."""
    replacing: list[RatedCall] = []
    for key, booked in standing.items():
        call, received = chosen[key]
        verdict = _verdict(call, digest=booked.digest, outcome=booked.outcome)
        if verdict == "replaces":
            replacing.append(call)
        _note(verdict, received, batch)
    return replacing


def _verdict(call: RatedCall, *, digest: bytes, outcome: str) -> Verdict:
    """What a call's event is beside an earlier one of the same id (money.md 14, 15)."""
    if call.digest == digest:
        return "repeated"
    if call.is_orphaned:
        return "skipped"
    return "replaces" if outcome == ORPHANED else "conflict"


def _note(verdict: Verdict, received: Received[Any], batch: Batch) -> None:
    match verdict:
        case "repeated":
            metrics.RECORDS_REPEATED.labels(GROUP, received.record.topic).inc()
        case "skipped":
            ORPHANS_SKIPPED.inc()
        case "replaces":
            ORPHANS_REPLACED.inc()
        case "conflict":
            metrics.CONFLICTS.labels(GROUP, received.record.topic).inc()
            log.error("ledger.call_conflicted", call_id=str(received.event.id))
            batch.reject(received, "same id, other content")


def _post(
    calls: Sequence[RatedCall],
    books: Mapping[Any, AccountBook],
    *,
    new: set[CallKey],
    replaced: Mapping[CallKey, StandingCharge],
) -> dict[CallKey, tuple[RatedCall, tuple[int, int]]]:
    """Burn every call that is new; the rest is only confirmed, so that its hold goes."""
    booked: dict[CallKey, tuple[RatedCall, tuple[int, int]]] = {}
    for call in calls:
        book = books[call.event.account_id]
        orphan = replaced.get(call.key)
        if orphan is not None:
            book.reverse_orphan_cost(call, orphan.cost_nano)
        if orphan is not None or call.key in new:
            booked[call.key] = (call, book.charge(call))
        else:
            book.applied.append(call.event.id)
    for outcome, number in Counter(call.event.outcome for call, _ in booked.values()).items():
        CALLS_BOOKED.labels(outcome).inc(number)
    return booked

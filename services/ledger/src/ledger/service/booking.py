"""Usage events become charges: one transaction per batch, in the order of money.md 17."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from kit import logging, metrics
from kit.clock import Clock
from kit.consumer import Batch
from kit.received import Received
from ledger.domain.book import AccountBook
from ledger.domain.operations import same_end
from ledger.domain.pricing import DUPLICATE, ORPHANED, CallKey, RatedCall
from ledger.domain.usage_days import days_of, taken_out
from ledger.metrics import CALLS_BOOKED, ORPHANS_REPLACED, ORPHANS_SKIPPED
from ledger.repository.burns import settle_charges
from ledger.repository.charges import StandingCharge, insert_charges, insert_details, list_charges, replace_charges
from ledger.repository.driver import find_by_index, forget_since_mark, mark
from ledger.repository.usage_days import add_usage_days
from ledger.service.arriving import Bounds, rated_arrivals
from ledger.service.catalogue import Catalogue
from ledger.service.operations import Arrival, Keyed, claim_keys
from ledger.service.saving import account_referent, lock_books, save

log = logging.get(__name__)

GROUP: Final = "ledger"

Verdict = Literal["replaces", "repeated", "skipped", "conflict"]


@dataclass(frozen=True, slots=True)
class Booking:
    """Charges calls, each once."""

    catalogue: Catalogue
    clock: Clock
    books_years: int

    async def book_usage(self, session: AsyncSession, batch: Batch) -> None:
        """Charge what is new, pass over what is known, park what must wait, set aside what cannot be."""
        now = self.clock.now()
        bounds = Bounds.at(now, books_years=self.books_years)
        await find_by_index(session)
        arrivals = await rated_arrivals(session, batch, catalogue=self.catalogue, bounds=bounds)
        keyed = await claim_keys(session, arrivals, batch, now=now)
        chosen = _distinct(keyed.arrivals, batch)
        calls = [call for call, _ in sorted(chosen.values(), key=lambda arrival: arrival[0].event.id.int)]
        new, books = await self._claim(session, calls, keyed, now=now)
        if unknown := {call.event.account_id for call in calls} - books.keys():
            calls = _known(calls, chosen, batch, unknown=unknown)
            await forget_since_mark(session)
            new, books = await self._claim(session, calls, keyed, now=now)
        for account_id, call_ids in keyed.refused.items():
            books[account_id].applied.extend(call_ids)
        standing = await list_charges(session, [call for call in calls if call.key not in new])
        replacing = _replacing(chosen, standing, batch)
        days = await replace_charges(session, replacing, orphans=standing, now=now) if replacing else {}
        booked = _post(calls, books, new=new, replaced={key: standing[key] for key in replacing})
        posted = [call for call, _ in booked.values()]
        await settle_charges(session, posted)
        await insert_details(session, booked)
        await add_usage_days(session, days_of(posted, {key: taken_out(sums) for key, sums in days.items()}))
        await save(session, list(books.values()), catalogue=self.catalogue, now=now)

    async def _claim(
        self, session: AsyncSession, calls: Sequence[RatedCall], keyed: Keyed, *, now: datetime
    ) -> tuple[set[CallKey], dict[UUID, AccountBook]]:
        """Claim calls, then lock the accounts that they touch, be it only to let a refused one's hold go.

        Nobody has asked whether the accounts are known, because they nearly always are; one that is not has no book.
        """
        accounts = {call.event.account_id for call in calls} | keyed.refused.keys()
        if not accounts:
            return set(), {}
        oldest = min((call.event.admitted_at for call in calls), default=now)
        await mark(session)
        new = await insert_charges(session, calls, now=now)
        return new, await lock_books(session, accounts, alive_at=oldest, now=now, catalogue=self.catalogue)


def _known(
    calls: Sequence[RatedCall], chosen: Mapping[CallKey, Arrival], batch: Batch, *, unknown: set[UUID]
) -> list[RatedCall]:
    """The calls of accounts that are known; the others wait for theirs."""
    known: list[RatedCall] = []
    for call in calls:
        account_id = call.event.account_id
        if account_id in unknown:
            batch.park(chosen[call.key][1], account_referent(account_id))
        else:
            known.append(call)
    return known


def _distinct(arrivals: Sequence[Arrival], batch: Batch) -> dict[CallKey, Arrival]:
    """One arrival per call; the rules between two of them are those against what is booked."""
    chosen: dict[CallKey, Arrival] = {}
    for call, received in arrivals:
        first = chosen.get(call.key)
        if first is None:
            chosen[call.key] = (call, received)
            continue
        alike = same_end(call, first[0].event)
        verdict = _verdict(call, digest=first[0].digest, outcome=first[0].outcome, is_told_again=alike)
        if verdict == "replaces":
            chosen[call.key] = (call, received)
        _note(verdict, received, batch)
    return chosen


def _replacing(
    chosen: Mapping[CallKey, Arrival], standing: Mapping[CallKey, StandingCharge], batch: Batch
) -> dict[CallKey, RatedCall]:
    """Of the calls that are booked already, those whose real end takes the place of an orphaned one."""
    replacing: dict[CallKey, RatedCall] = {}
    for key, booked in standing.items():
        call, received = chosen[key]
        again = call.is_told_again or (booked.outcome == call.outcome == DUPLICATE)
        verdict = _verdict(call, digest=booked.digest, outcome=booked.outcome, is_told_again=again)
        if verdict == "replaces":
            replacing[key] = call
        _note(verdict, received, batch)
    return replacing


def _verdict(call: RatedCall, *, digest: bytes, outcome: str, is_told_again: bool) -> Verdict:
    """What a call's event is beside an earlier one of the same id (money.md 14, 15)."""
    if call.digest == digest:
        return "repeated"
    if call.is_orphaned:
        return "skipped"
    if outcome == ORPHANED:
        return "replaces"
    return "repeated" if is_told_again else "conflict"


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
    books: Mapping[UUID, AccountBook],
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
    for outcome, number in Counter(call.outcome for call, _ in booked.values()).items():
        CALLS_BOOKED.labels(outcome).inc(number)
    return booked

"""Whether every admitted call is in the books, window by window (money.md 31)."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

from aiokafka.errors import KafkaError
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.gateway import CallsCounted, UsageRecorded
from kit import logging, outbox
from kit.clock import Clock
from kit.database import Database
from kit.received import StoredRecord, decode_all
from ledger.adapters.dead_letters import DeadLetter
from ledger.adapters.gateways import Journalled
from ledger.domain.reconciling import Counted, Reconciliation, Window, silent_minutes
from ledger.repository import reconciling as repository
from ledger.service.booking import GROUP

log = logging.get(__name__)

JOURNALS_KEPT: Final = timedelta(hours=48)
_TYPES: Final = {UsageRecorded.type: UsageRecorded}


class Journals(Protocol):
    """The gateways' journals."""

    async def journalled(self, instance: str, *, start: datetime, end: datetime) -> Journalled: ...


class Letters(Protocol):
    """The DLQ of usage."""

    async def read(self) -> list[DeadLetter]: ...


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What the database knows of a window."""

    counted: dict[str, Counted]
    booked: dict[str, int]
    parked: dict[str, set[UUID]]


async def count_calls(session: AsyncSession, event: CallsCounted) -> None:
    """Keep what a gateway counted in a minute."""
    await repository.upsert_count(session, event)


@dataclass(frozen=True, slots=True)
class Reconciling:
    """It owns its transactions: gateways and Kafka are asked between them."""

    database: Database
    clock: Clock
    journals: Journals
    letters: Letters

    async def reconcile(self, window: Window, *, instance: str | None = None) -> list[Reconciliation]:
        """Compare every instance, or one, and keep and publish what was found."""
        evidence = await self._evidence(window)
        names = sorted(evidence.counted.keys() | evidence.booked.keys() | evidence.parked.keys())
        found = [_figures(name, window, evidence) for name in names if instance in {None, name}]
        letters: list[DeadLetter] | None = None
        for one in found:
            if not one.looks_right:
                letters = await self._letters() if letters is None else letters
                await self._look_closer(one, letters, parked=evidence.parked.get(one.gateway_instance, set()))
            await self._keep(one)
        return found

    async def _evidence(self, window: Window) -> _Evidence:
        async with self.database.reading() as session:
            counted = await repository.list_counts(session, window)
            booked = await repository.count_booked(session, window)
            parked = await repository.list_parked_usage(session, GROUP)
        # An instance whose journal is gone has nothing more to say of itself.
        alive = {name: one for name, one in counted.items() if one.last_minute >= window.start - JOURNALS_KEPT}
        return _Evidence(alive, booked, _by_instance(parked, window))

    async def _letters(self) -> list[DeadLetter]:
        try:
            return await self.letters.read()
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("ledger.dead_letters_not_read", reason=type(error).__name__)
            return []

    async def _look_closer(self, one: Reconciliation, letters: Sequence[DeadLetter], *, parked: set[UUID]) -> None:
        """By ids instead of by numbers: a call may be parked and booked, or set aside twice."""
        window, name = one.window, one.gateway_instance
        async with self.database.reading() as session:
            booked = await repository.list_booked_ids(session, window, instance=name)
        waiting = parked - booked
        aside = {letter.call_id for letter in letters if _is_of(letter, name, window)} - booked - waiting - {None}
        one.booked, one.parked, one.set_aside = len(booked), len(waiting), len(aside)
        if one.looks_right:
            return
        answer = await self.journals.journalled(name, start=window.start, end=window.end)
        one.unreachable = answer.unreachable
        if answer.ids is not None:
            one.compare(answer.ids, {*booked, *waiting, *(call_id for call_id in aside if call_id)})
            await self._forgive(one)

    async def _forgive(self, one: Reconciliation) -> None:
        """A call that is booked is not missing, whatever instance or instant its event names."""
        if one.missing:
            async with self.database.reading() as session:
                elsewhere = await repository.list_charged_ids(session, one.missing)
            one.missing = tuple(call_id for call_id in one.missing if call_id not in elsewhere)
            one.booked += len(elsewhere)

    async def _keep(self, found: Reconciliation) -> None:
        now, name = self.clock.now(), found.gateway_instance
        async with self.database.transaction() as session:
            is_news = await repository.save_reconciliation(session, found, now=now)
            if is_news and not found.is_equal:
                await outbox.add(session, found.event(now=now))
        if not is_news or (found.is_equal and not found.silent_minutes):
            return
        log.error(
            "ledger.reconciliation_differed" if not found.is_equal else "ledger.gateway_silent",
            gateway=name,
            window=found.window.start.isoformat(),
            admitted=found.admitted,
            accounted=found.accounted,
            missing=len(found.missing),
            silent_minutes=found.silent_minutes,
            unreachable=list(found.unreachable),
        )


def _figures(name: str, window: Window, evidence: _Evidence) -> Reconciliation:
    counted = evidence.counted.get(name)
    return Reconciliation(
        gateway_instance=name,
        window=window,
        admitted=counted.admitted if counted else 0,
        silent_minutes=silent_minutes(window, counted),
        booked=evidence.booked.get(name, 0),
        parked=len(evidence.parked.get(name, ())),
    )


def _by_instance(records: Iterable[StoredRecord], window: Window) -> dict[str, set[UUID]]:
    found: dict[str, set[UUID]] = defaultdict(set)
    for received in decode_all(records, _TYPES)[0]:
        event: UsageRecorded = received.event
        if window.start <= event.admitted_at < window.end:
            found[event.gateway_instance].add(event.id)
    return dict(found)


def _is_of(letter: DeadLetter, instance: str, window: Window) -> bool:
    if letter.gateway_instance != instance or letter.admitted_at is None:
        return False
    return window.start <= letter.admitted_at < window.end

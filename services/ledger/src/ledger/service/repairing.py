"""What can be applied after all: parked events whose referent is here, dead letters that decode now, lost ends.

An end that a journal names and nobody accounts for is looked for in the topic, where the consumer may have missed it:
its place was moved, or the database is older than it. What is not there either is reported by its gateway, which
remembers the call, once more: as `orphaned`, which a real end that turns up later replaces (money.md 14).
"""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import orjson

from contracts.gateway import UsageRecorded
from kit import parking
from kit.clock import Clock
from kit.consumer import Batch, Consumer
from kit.database import Database
from kit.received import StoredRecord, decode_all
from ledger.adapters.dead_letters import DeadLetter
from ledger.domain.reconciling import Reconciliation, Window
from ledger.service.booking import GROUP, Booking

AT_ONCE: Final = 500
_LOOKS: Final = 10
_LOOK_S: Final = 1.0
_TYPES: Final = {UsageRecorded.type: UsageRecorded}


class StillRefusedError(Exception):
    """A dead letter is refused again, or would only wait; its transaction is rolled back."""


@dataclass(slots=True)
class Repaired:
    """How many were applied, and why the others were not."""

    parked: int = 0
    dead_letters: int = 0
    found_again: int = 0
    orphaned: int = 0
    refused: list[str] = field(default_factory=list)
    on_the_way: list[UUID] = field(default_factory=list)
    """Reported by their gateway, whose spool has them still."""
    nowhere: list[UUID] = field(default_factory=list)


class Topic(Protocol):
    """The topic of usage."""

    async def find(self, call_ids: Collection[UUID], *, since: datetime) -> list[StoredRecord]: ...


class Journals(Protocol):
    """The gateways' journals."""

    async def report_lost(self, instance: str, call_ids: Collection[UUID]) -> frozenset[UUID]: ...


@dataclass(frozen=True, slots=True)
class Repairing:
    """It owns its transactions, one per batch of parked events and one per dead letter."""

    database: Database
    clock: Clock
    consumer: Consumer
    booking: Booking

    async def repair(self, window: Window, letters: list[DeadLetter]) -> Repaired:
        """Apply what can be; whatever was booked meanwhile is recognised by its charge."""
        repaired = Repaired()
        repaired.parked = await self._apply_parked()
        for letter in letters:
            if letter.admitted_at is None or window.start <= letter.admitted_at < window.end:
                await self._apply_letter(letter, repaired)
        return repaired

    async def end_missing(
        self, found: Iterable[Reconciliation], *, topic: Topic, journals: Journals, repaired: Repaired
    ) -> None:
        """Book an end of each call that a journal names and the books lack: its own, else an orphan's."""
        for one in found:
            if not one.missing:
                continue
            missing = set(one.missing)
            again = await self._book_found(missing, topic=topic, since=one.window.start, repaired=repaired)
            repaired.found_again += len(again)
            if lost := missing - again:
                asked_at = self.clock.now()
                reported = await journals.report_lost(one.gateway_instance, lost)
                repaired.nowhere += sorted(lost - reported, key=_number)
                await self._book_reported(reported, topic=topic, since=asked_at, repaired=repaired)

    async def _book_reported(
        self, reported: Collection[UUID], *, topic: Topic, since: datetime, repaired: Repaired
    ) -> None:
        left = set(reported)
        for look in range(_LOOKS):
            if not left:
                break
            await asyncio.sleep(_LOOK_S if look else 0)
            left -= await self._book_found(left, topic=topic, since=since, repaired=repaired)
        repaired.orphaned += len(reported) - len(left)
        repaired.on_the_way += sorted(left, key=_number)

    async def _book_found(
        self, call_ids: Collection[UUID], *, topic: Topic, since: datetime, repaired: Repaired
    ) -> set[UUID]:
        """Those of the calls that the topic has; what cannot be booked of them is refused by name."""
        found: set[UUID] = set()
        for record in await topic.find(call_ids, since=since):
            call_id = _call_of(record)
            try:
                await self._book(record)
            except StillRefusedError as refused:
                repaired.refused.append(f"{call_id}: {refused}")
            found.add(call_id)
        return found

    async def _apply_parked(self) -> int:
        async with self.database.transaction() as session:
            before, _ = await parking.census(session, GROUP)
            await parking.release_all(session, GROUP)
        for _ in range(before // AT_ONCE + 1):
            async with self.database.transaction() as session:
                records = await parking.list_released(session, GROUP, limit=AT_ONCE)
                await self.consumer.apply(session, records, clock=self.clock)
                await parking.remove(session, GROUP, records)
        async with self.database.reading() as session:
            after, _ = await parking.census(session, GROUP)
        return max(0, before - after)

    async def _apply_letter(self, letter: DeadLetter, repaired: Repaired) -> None:
        try:
            await self._book(letter.record)
        except StillRefusedError as refused:
            repaired.refused.append(f"{letter.call_id or 'an unreadable record'}: {refused}")
        else:
            repaired.dead_letters += 1

    async def _book(self, record: StoredRecord) -> None:
        received, bad = decode_all([record], _TYPES)
        if bad or not received:
            raise StillRefusedError(bad[0].reason if bad else "the record is empty")
        batch = Batch(received)
        async with self.database.transaction() as session:
            await self.booking.book_usage(session, batch)
            if batch.set_aside:
                raise StillRefusedError(batch.set_aside[0].reason)
            if batch.parked:
                raise StillRefusedError(f"waits for {batch.parked[0][1]}")


def _call_of(record: StoredRecord) -> UUID:
    return UUID(orjson.loads(record.value or b"")["id"])


def _number(call_id: UUID) -> int:
    return call_id.int

"""What can be applied after all: parked events whose referent is here, dead letters that decode now, lost ends.

An end that a journal names and nobody accounts for is looked for in the topic, where the consumer may have missed it:
its place was moved, or the database is older than it. A journal's list names no account: what is not in the topic
either can be ended by its gateway alone.
"""

from collections.abc import Collection
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
from ledger.domain.reconciling import Window
from ledger.service.booking import GROUP, Booking

AT_ONCE: Final = 500
_TYPES: Final = {UsageRecorded.type: UsageRecorded}


class StillRefusedError(Exception):
    """A dead letter is refused again, or would only wait; its transaction is rolled back."""


@dataclass(slots=True)
class Repaired:
    """How many were applied, and why the others were not."""

    parked: int = 0
    dead_letters: int = 0
    found_again: int = 0
    refused: list[str] = field(default_factory=list)
    nowhere: list[UUID] = field(default_factory=list)


class Topic(Protocol):
    """The topic of usage."""

    async def find(self, call_ids: Collection[UUID], *, since: datetime) -> list[StoredRecord]: ...


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
        self, missing: Collection[UUID], *, topic: Topic, since: datetime, repaired: Repaired
    ) -> None:
        """Book the ends of calls that journals name and the books lack, as far as the topic still has them."""
        records = await topic.find(missing, since=since)
        booked: set[UUID] = set()
        for record in records:
            call_id = _call_of(record)
            try:
                await self._book(record)
            except StillRefusedError as refused:
                repaired.refused.append(f"{call_id}: {refused}")
            booked.add(call_id)
        repaired.found_again += len(booked)
        repaired.nowhere += sorted(set(missing) - booked, key=lambda call_id: call_id.int)

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

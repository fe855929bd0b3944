"""Every hold ends: what nobody keeps alive is reported as orphaned, what is not confirmed is asked of the ledger."""

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from gateway.admission import metrics
from gateway.admission.commands import offset_ms_of
from gateway.admission.connection import RedisConnection, Session
from gateway.admission.hints import SHARDS, VISIT_AFTER_S, Hints
from gateway.admission.hold import allocation_of, booked_allocation, instant_of
from gateway.admission.scripts import AccountScripts, account_keys
from gateway.admission.snapshots import Snapshots
from gateway.admission.types import AdmissionUnavailableError, OrphanPublisher, SnapshotSource
from kit import logging
from kit.clock import MovedClock, SystemClock
from kit.producer import ProducerError

log = logging.get(__name__)

INTERVAL_S: Final = 5.0
LEASE_S: Final = 60.0
FULL_SCAN_S: Final = 3600.0
ACCOUNTS_AT_ONCE: Final = 50
ENTRIES_AT_ONCE: Final = 200
SCAN_COUNT: Final = 500
SCAN_PAUSE_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class _Due:
    """An entry that wants attention, and what it was before."""

    call_id: UUID
    was: str
    admitted_ms: int
    split: str
    report: bytes


class Sweeper:
    """One in every gateway; they share the work through claims and repeat what another left half done."""

    def __init__(
        self,
        *,
        redis: RedisConnection,
        ledger: SnapshotSource,
        publish: OrphanPublisher,
        patience_s: float,
        clock: MovedClock | None = None,
        interval_s: float = INTERVAL_S,
        lease_s: float = LEASE_S,
        full_scan_s: float = FULL_SCAN_S,
    ) -> None:
        self._redis = redis
        self._publish = publish
        self._patience_s = patience_s
        self._clock = clock or SystemClock()
        self._interval_s = interval_s
        self._lease_s = lease_s
        self._full_scan_s = full_scan_s
        self._snapshots = Snapshots(redis=redis, ledger=ledger, clock=self._clock)
        self._hints = Hints(redis, clock=self._clock, visit_after_s=min(VISIT_AFTER_S, patience_s))
        self._scripts = AccountScripts()

    async def run(self) -> None:
        """Sweep until cancelled."""
        next_scan = time.monotonic() + self._full_scan_s * random.random()  # noqa: S311  # spreads the gateways
        while True:
            await asyncio.sleep(self._interval_s * (0.5 + random.random()))  # noqa: S311  # spreads the gateways
            try:
                await self.sweep()
                if time.monotonic() >= next_scan:
                    next_scan = time.monotonic() + self._full_scan_s
                    await self.scan_for_strays()
            except AdmissionUnavailableError:
                log.warning("admission.sweep_failed")

    async def sweep(self) -> None:
        """Visit every account that is due."""
        shards = list(range(SHARDS))
        random.shuffle(shards)
        for shard in shards:
            for account_id in await self._hints.claim(shard, limit=ACCOUNTS_AT_ONCE, lease_s=self._lease_s / 2):
                await self._visit(account_id)

    async def scan_for_strays(self) -> None:
        """Announce accounts that have entries and lost their hint; slow on purpose."""
        cursor = b"0"
        while True:
            cursor = await self._redis.attempt(lambda session, at=cursor: self._note_page(session, at))  # type: ignore[misc]  # mypy cannot infer the default
            if cursor == b"0":
                return
            await asyncio.sleep(SCAN_PAUSE_S)

    async def _note_page(self, session: Session, cursor: bytes) -> bytes:
        following: bytes
        following, keys = await session.command("SCAN", cursor, "MATCH", "{*}:calls", "COUNT", SCAN_COUNT)
        for key in keys:
            await self._hints.note(session, UUID(hex=key.decode()[1:33]))
        return following

    async def _visit(self, account_id: UUID) -> None:
        due_ms, found = await self._redis.attempt(lambda session: self._take_due(session, account_id))
        try:
            await self._report(account_id, found)
        except (AdmissionUnavailableError, ProducerError) as error:
            # The entries are due again after their lease, and so is the account.
            log.warning("admission.visit_failed", account_id=str(account_id), reason=type(error).__name__)
            return
        await self._redis.attempt(lambda session: self._hints.visited(session, account_id, due_ms=due_ms))

    async def _take_due(self, session: Session, account_id: UUID) -> tuple[str, list[_Due]]:
        # After a restart of Redis gateways first get time to say which calls are alive.
        may_sweep = session.uptime_s >= self._patience_s / 2
        arguments = offset_ms_of(self._clock), int(self._lease_s * 1000), "1" if may_sweep else "0", ENTRIES_AT_ONCE
        _, due_ms, flat = await session.script(self._scripts.sweep, account_keys(account_id), *arguments)
        rows = (flat[start : start + 5] for start in range(0, len(flat), 5))
        found = [
            _Due(UUID(hex=call.decode()), was.decode(), int(admitted), split.decode(), report)
            for call, was, admitted, split, report in rows
        ]
        return due_ms.decode(), found

    async def _report(self, account_id: UUID, found: list[_Due]) -> None:
        orphans = [due for due in found if due.was == "held"]
        for orphan in orphans:
            metrics.SWEPT.inc()
            log.warning("admission.call_swept", account_id=str(account_id), call_id=str(orphan.call_id))
            await self._orphaned(account_id, orphan)
        unconfirmed = [due for due in found if due.was != "held"]
        if not unconfirmed:
            return
        booked = await self._snapshots.ask(account_id, [due.call_id for due in unconfirmed])
        for due in unconfirmed:
            if due.was == "swept" and due.call_id not in booked:
                # Whoever swept it may have died before the event was out; a second one changes nothing.
                await self._orphaned(account_id, due)

    async def _orphaned(self, account_id: UUID, due: _Due) -> None:
        allocation = booked_allocation(allocation_of(due.split))
        try:
            await self._publish(account_id, due.call_id, due.report, allocation, instant_of(due.admitted_ms))
        except ValueError as error:
            # One entry that cannot be read must not end the sweeping of all others.
            log.error(  # noqa: TRY400  # the trace would show the report
                "admission.report_unreadable",
                account_id=str(account_id),
                call_id=str(due.call_id),
                reason=type(error).__name__,
            )

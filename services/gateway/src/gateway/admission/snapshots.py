"""Snapshots of the ledger on their way into Redis: pushed, asked for, or needed for a reload."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from contracts.ledger import BalanceChanged
from gateway.admission import metrics
from gateway.admission.commands import offset_ms_of
from gateway.admission.connection import RedisConnection, Session
from gateway.admission.scripts import AccountScripts, account_keys, calls_key
from gateway.admission.snapshot_words import SnapshotRefusedError, snapshot_words
from gateway.admission.types import AdmissionUnavailableError, SnapshotSource
from kit import logging
from kit.clock import MovedClock

__all__ = ["SnapshotRefusedError", "Snapshots"]

log = logging.get(__name__)


class Snapshots:
    """Applies snapshots; reloads are answered by the ledger once per account, however many calls wait for one."""

    def __init__(self, *, redis: RedisConnection, ledger: SnapshotSource, clock: MovedClock) -> None:
        self._redis = redis
        self._ledger = ledger
        self._clock = clock
        self._scripts = AccountScripts()
        self._reloading: dict[UUID, asyncio.Task[None]] = {}

    async def apply(self, event: BalanceChanged) -> None:
        """Apply what the ledger pushed; raises `SnapshotRefusedError` for amounts that scripts cannot hold."""
        arguments = snapshot_words(event)
        await self._redis.attempt(lambda session: self._run(session, event.account_id, "0", arguments))

    async def ask(self, account_id: UUID, calls: Sequence[UUID]) -> set[UUID]:
        """Ask the ledger about entries and apply its answer; those that are booked."""
        event = await self._ledger.snapshot(account_id, calls)
        try:
            await self.apply(event)
        except SnapshotRefusedError as error:
            raise _unusable(event, error) from error
        return set(event.applied)

    async def reload(self, account_id: UUID) -> None:
        """Rebuild an account's state for this run of Redis (money.md 29)."""
        task = self._reloading.get(account_id)
        if task is None:
            task = asyncio.create_task(self._reload(account_id))
            self._reloading[account_id] = task
            task.add_done_callback(lambda done: self._reloaded(account_id, done))
        # Shielded, because others wait for it too.
        await asyncio.shield(task)

    def _reloaded(self, account_id: UUID, done: asyncio.Task[None]) -> None:
        self._reloading.pop(account_id, None)
        if not done.cancelled():
            done.exception()  # counted already; asyncio complains when all who waited are gone

    async def _reload(self, account_id: UUID) -> None:
        try:
            run_id, calls = await self._redis.attempt(lambda session: _entries(session, account_id))
            event = await self._ledger.snapshot(account_id, calls)
            arguments = snapshot_words(event)
            await self._redis.attempt(lambda session: self._install(session, run_id, account_id, arguments))
        except SnapshotRefusedError as error:
            metrics.RELOADS.labels("refused").inc()
            raise _unusable(event, error) from error
        except AdmissionUnavailableError as error:
            metrics.RELOADS.labels(error.code).inc()
            raise
        metrics.RELOADS.labels("ok").inc()
        log.info("admission.account_reloaded", account_id=str(account_id), version=event.version, entries=len(calls))

    async def _install(self, session: Session, run_id: str, account_id: UUID, arguments: Sequence[str | int]) -> None:
        # Had Redis been lost since the entries were read, the answer would not be about what it holds now.
        if session.run_id == run_id:
            await self._run(session, account_id, "1", arguments)

    async def _run(self, session: Session, account_id: UUID, reload: str, arguments: Sequence[str | int]) -> None:
        offset_ms = offset_ms_of(self._clock)
        await session.script(self._scripts.apply, account_keys(account_id), offset_ms, reload, *arguments)


async def _entries(session: Session, account_id: UUID) -> tuple[str, list[UUID]]:
    calls = await session.command("HKEYS", calls_key(account_id))
    return session.run_id, [UUID(hex=call.decode()) for call in calls]


def _unusable(event: BalanceChanged, error: SnapshotRefusedError) -> AdmissionUnavailableError:
    log.error("admission.snapshot_refused", account_id=str(event.account_id), version=event.version, reason=str(error))
    return AdmissionUnavailableError()

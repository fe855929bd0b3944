"""Reconciliation by itself: every settled window once, and again while it differs."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from kit import logging
from kit.backoff import Backoff
from ledger.domain.reconciling import Window
from ledger.metrics import RECONCILE_DIFFERING, SILENT_MINUTES
from ledger.repository import reconciling as repository
from ledger.service.reconciling import JOURNALS_KEPT, Reconciling

log = logging.get(__name__)

EVERY_S: Final = 300.0
WINDOW: Final = timedelta(minutes=10)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ReconcileSchedule:
    """A background task. A window is settled when the longest call in it has ended, or was swept, and is booked."""

    reconciling: Reconciling
    settle: timedelta

    async def run(self) -> None:
        """Reconcile until cancelled."""
        backoff = Backoff()
        while True:
            try:
                await self.once()
                backoff.reset()
                await asyncio.sleep(EVERY_S)
            except (SQLAlchemyError, OSError) as error:
                log.warning("ledger.reconciliation_delayed", reason=type(error).__name__)
                await asyncio.sleep(backoff.next_s())

    async def once(self) -> int:
        """Look at every window that is due; how many."""
        windows = await self._due()
        for window in windows:
            await self.reconciling.reconcile(window)
        await self._tell()
        return len(windows)

    async def _tell(self) -> None:
        since = self.reconciling.clock.now() - JOURNALS_KEPT
        async with self.reconciling.database.reading() as session:
            differing = await repository.list_differences(session, since=since)
        for gateway, calls, minutes in differing:
            RECONCILE_DIFFERING.labels(gateway).set(calls)
            SILENT_MINUTES.labels(gateway).set(minutes)

    async def _due(self) -> list[Window]:
        now = self.reconciling.clock.now()
        until, oldest = _floor(now - self.settle), _floor(now - JOURNALS_KEPT)
        async with self.reconciling.database.reading() as session:
            first = await repository.first_counted(session)
            if first is None:
                return []
            done = await repository.last_window_end(session)
            again = await repository.list_open_windows(session, since=oldest)
        start = max(oldest, _floor(first) if done is None else _floor(done))
        fresh = [Window(start + WINDOW * n, start + WINDOW * (n + 1)) for n in range((until - start) // WINDOW)]
        return [*again, *fresh]


def _floor(instant: datetime) -> datetime:
    return _EPOCH + (instant - _EPOCH) // WINDOW * WINDOW

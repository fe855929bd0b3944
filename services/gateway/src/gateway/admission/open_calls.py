"""The calls that this gateway has open: kept alive, entered again where Redis lost them, settled until it worked."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar
from uuid import UUID

from gateway.admission import metrics
from gateway.admission.commands import Commands
from gateway.admission.connection import RedisConnection, Session
from gateway.admission.ended_calls import EndedCalls
from gateway.admission.hints import Hints
from gateway.admission.hold import Hold
from gateway.admission.scripts import AccountScripts, account_keys
from gateway.admission.types import AdmissionUnavailableError, SpooledCalls
from gateway.admission.wire import RedisLostError
from kit import logging

log = logging.get(__name__)

BEATS_PER_PATIENCE: Final = 3
CALLS_PER_BEAT: Final = 100
CALLS_PER_TURN: Final = 500
LONGEST_TICK_S: Final = 1.0

T = TypeVar("T")


class OpenCalls:
    """Holds from admission to settlement. `entered_run` is the run of Redis that knows all of them."""

    def __init__(
        self,
        *,
        redis: RedisConnection,
        hints: Hints,
        commands: Commands,
        patience_s: float,
        spooled: SpooledCalls | None = None,
    ) -> None:
        self._redis = redis
        self._hints = hints
        self._commands = commands
        self._patience_s = patience_s
        self._scripts = AccountScripts()
        # By the ids' integers: a UUID is hashed in Python, on each look-up anew.
        self._open: dict[int, Hold] = {}
        self._lost: set[int] = set()
        self._entering = asyncio.Lock()
        self.ended = EndedCalls(redis=redis, hints=hints, commands=commands)
        self._spooled = spooled
        self._spool_growths = self._growths_entered = 0
        self.entered_run: str | None = None
        self.on_entered: Callable[[], None] = lambda: None
        self.on_swept: Callable[[UUID], None] = lambda _call_id: None

    @property
    def ids(self) -> frozenset[UUID]:
        return frozenset(hold.request.call_id for hold in self._open.values())

    def find(self, call_id: UUID) -> Hold | None:
        return self._open.get(call_id.int)

    def add(self, hold: Hold) -> None:
        self._open[hold.request.call_id.int] = hold

    def take(self, call_id: UUID) -> Hold | None:
        """What is known of the call, which is kept alive no longer."""
        if self._lost:
            self._lost.discard(call_id.int)
        return self._open.pop(call_id.int, None)

    def abandon(self, call_id: UUID) -> None:
        """The call's end could not be stored: it is swept and reported as orphaned."""
        self.take(call_id)

    def undo(self, call_id: UUID, account_id: UUID) -> None:
        """The call never began, and Redis may hold for it: that is given back as soon as Redis answers."""
        self.abandon(call_id)
        self.ended.undo(call_id, account_id)

    def confirmed(self, call_id: UUID) -> None:
        """The ledger has booked the call; if it is still open here, somebody swept it."""
        self.ended.confirmed(call_id)
        self._lose(call_id)

    async def enter(self, run_id: str) -> None:
        """Enter everything again if Redis runs anew: nothing may be admitted before (money.md 29)."""
        async with self._entering:
            if run_id == self.entered_run:
                return
            calls = len(self._open) + self.ended.unsettled
            await self._keep_all(run_id)
            await self.ended.settle_waiting()
            calls += await self._enter_spooled()
            if calls:
                metrics.REENTERED.inc(calls)
                log.warning("admission.calls_reentered", calls=calls)
            self.entered_run = run_id
            self.on_entered()

    def spool_grew(self) -> None:
        """The spool has taken over ended calls of another process: Redis may have lost them."""
        self._spool_growths += 1

    async def _enter_spooled(self) -> int:
        """Enter the ended calls that only the spool knows; how many."""
        growths, calls = self._spool_growths, 0
        if self._spooled is not None:
            try:
                async for some in self._spooled():
                    calls += await self.ended.enter(some)
            except OSError as error:
                raise AdmissionUnavailableError from error
        self._growths_entered = growths
        return calls

    async def run(self) -> None:
        """Beat until cancelled."""
        tick_s = min(LONGEST_TICK_S, self._patience_s / 10)
        beaten = time.monotonic()
        while True:
            await asyncio.sleep(tick_s)
            metrics.tell_decisions()
            metrics.OPEN.set(len(self._open))
            metrics.UNSETTLED.set(self.ended.unsettled)
            try:
                session = await self._redis.slow.up(within_s=tick_s)
                await self.enter(session.run_id)
                await self.ended.settle_waiting()
                if self._spool_growths != self._growths_entered:
                    await self._enter_spooled()
                if time.monotonic() - beaten >= self._patience_s / BEATS_PER_PATIENCE:
                    beaten = time.monotonic()
                    await self._keep_all(session.run_id)
            except AdmissionUnavailableError:
                log.warning("admission.heartbeat_failed", open_calls=len(self._open), unsettled=self.ended.unsettled)

    async def _keep_all(self, run_id: str) -> None:
        alive = [hold for call_id, hold in self._open.items() if call_id not in self._lost]
        for turn in _chunks(alive, CALLS_PER_TURN):
            for account_id, holds in _by_account(turn).items():
                for chunk in _chunks(holds, CALLS_PER_BEAT):
                    await self._keep(run_id, account_id, chunk)

    async def _keep(self, run_id: str, account_id: UUID, holds: Sequence[Hold]) -> None:
        # Calls that were settled since the beat began must not be entered as held again.
        alive = [hold for hold in holds if hold.request.call_id.int in self._open]
        if not alive:
            return
        words = [
            word for hold in alive for word in (f"{hold.request.call_id.hex}|{hold.packed()}", hold.request.report)
        ]

        async def work(session: Session) -> list[bytes]:
            if session.run_id != run_id:
                raise RedisLostError
            await self._hints.note(session, account_id)
            patience_ms = int(self._patience_s * 1000)
            states: list[bytes] = await session.script(
                self._scripts.keep, account_keys(account_id), self._commands.offset_ms, patience_ms, *words
            )
            return states

        for hold, state in zip(alive, await self._redis.attempt(work), strict=True):
            if state in (b"swept", b"confirmed"):
                self._lose(hold.request.call_id)

    def _lose(self, call_id: UUID) -> None:
        if call_id.int in self._open and call_id.int not in self._lost:
            self._lost.add(call_id.int)
            metrics.LOST.inc()
            log.warning("admission.open_call_was_swept", call_id=str(call_id))
            self.on_swept(call_id)


def _by_account(holds: Iterable[Hold]) -> dict[UUID, list[Hold]]:
    found: dict[UUID, list[Hold]] = {}
    for hold in holds:
        found.setdefault(hold.account_id, []).append(hold)
    return found


def _chunks(all_of: Sequence[T], size: int) -> list[Sequence[T]]:
    return [all_of[start : start + size] for start in range(0, len(all_of), size)]

"""The calls that this gateway has open: kept alive, entered again where Redis lost them, settled until it worked."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from contracts.money import MAX_AMOUNT
from gateway.admission import metrics
from gateway.admission.connection import RedisConnection, Session
from gateway.admission.hints import Hints
from gateway.admission.hold import Hold, by_account, chunks
from gateway.admission.scripts import AccountScripts, account_keys
from gateway.admission.types import AdmissionUnavailableError, SettleAnswer
from kit import logging

log = logging.get(__name__)

ASK_AFTER_S: Final = 60.0
BEATS_PER_PATIENCE: Final = 3
CALLS_PER_BEAT: Final = 100
LONGEST_TICK_S: Final = 1.0


async def _run_of(session: Session) -> str:
    return session.run_id


class OpenCalls:
    """Holds from admission to settlement. `entered_run` is the run of Redis that knows all of them."""

    def __init__(
        self,
        *,
        redis: RedisConnection,
        hints: Hints,
        patience_s: float,
        offset_ms: int,
        ask_after_s: float = ASK_AFTER_S,
    ) -> None:
        self._redis = redis
        self._hints = hints
        self._patience_s = patience_s
        self._offset_ms = offset_ms
        self._ask_after_ms = int(ask_after_s * 1000)
        self._scripts = AccountScripts()
        self._open: dict[UUID, Hold] = {}
        self._lost: set[UUID] = set()
        self._unsettled: dict[UUID, tuple[Hold, int]] = {}
        self._entering = asyncio.Lock()
        self.entered_run: str | None = None
        self.on_swept: Callable[[UUID], None] = lambda _call_id: None

    @property
    def ids(self) -> frozenset[UUID]:
        return frozenset(self._open)

    @property
    def unsettled(self) -> int:
        return len(self._unsettled)

    def add(self, hold: Hold) -> None:
        self._open[hold.call_id] = hold
        metrics.OPEN.set(len(self._open))

    def abandon(self, call_id: UUID) -> None:
        """Keep the call alive no longer: its end could not be stored, so it is swept and reported as orphaned."""
        self._open.pop(call_id, None)
        self._lost.discard(call_id)
        metrics.OPEN.set(len(self._open))

    def confirmed(self, call_id: UUID) -> None:
        """The ledger has booked the call; if it is still open here, somebody swept it."""
        self._unsettled.pop(call_id, None)
        self._lose(call_id)

    async def settle(self, *, account_id: UUID, call_id: UUID, price_nano: int) -> SettleAnswer:
        """Turn the hold into its price; what Redis does not take now is tried again in the background."""
        hold = self._open.get(call_id) or Hold(call_id, account_id, 0, 0, "", "", "", b"")
        self.abandon(call_id)
        if not 0 <= price_nano <= MAX_AMOUNT:
            log.error("admission.price_out_of_range", call_id=str(call_id))
        self._unsettled[call_id] = hold, min(max(price_nano, 0), MAX_AMOUNT)
        try:
            return await self._settle(call_id)
        except AdmissionUnavailableError:
            return "pending"
        finally:
            metrics.UNSETTLED.set(len(self._unsettled))

    async def _settle(self, call_id: UUID) -> SettleAnswer:
        hold, price_nano = self._unsettled[call_id]

        async def work(session: Session) -> bytes:
            await self._hints.note(session, hold.account_id)
            arguments = self._offset_ms, self._ask_after_ms, price_nano, *hold.arguments()
            answer: bytes = await session.script(self._scripts.settle, account_keys(hold.account_id), *arguments)
            return answer

        answer = await self._redis.attempt(work)
        self._unsettled.pop(call_id, None)
        return "confirmed" if answer == b"confirmed" else "ok"

    async def settle_waiting(self) -> None:
        for call_id in list(self._unsettled):
            if call_id in self._unsettled:
                await self._settle(call_id)
        metrics.UNSETTLED.set(len(self._unsettled))

    async def enter(self) -> None:
        """Enter everything again if Redis runs anew: nothing may be admitted before (money.md 29)."""
        async with self._entering:
            run_id = await self._redis.attempt(_run_of)
            if run_id == self.entered_run:
                return
            calls = len(self._open) + len(self._unsettled)
            await self._keep_all()
            await self.settle_waiting()
            if calls:
                metrics.REENTERED.inc(calls)
                log.warning("admission.calls_reentered", calls=calls)
            self.entered_run = run_id

    async def run(self) -> None:
        """Beat until cancelled."""
        tick_s = min(LONGEST_TICK_S, self._patience_s / 10)
        beaten = time.monotonic()
        while True:
            await asyncio.sleep(tick_s)
            try:
                await self.enter()
                await self.settle_waiting()
                if time.monotonic() - beaten >= self._patience_s / BEATS_PER_PATIENCE:
                    beaten = time.monotonic()
                    await self._keep_all()
            except AdmissionUnavailableError:
                log.warning("admission.heartbeat_failed", open_calls=len(self._open), unsettled=len(self._unsettled))

    async def _keep_all(self) -> None:
        alive = [hold for call_id, hold in self._open.items() if call_id not in self._lost]
        for account_id, holds in by_account(alive).items():
            for chunk in chunks(holds, CALLS_PER_BEAT):
                await self._keep(account_id, chunk)

    async def _keep(self, account_id: UUID, holds: Sequence[Hold]) -> None:
        # Calls that were settled since the beat began must not be entered as held again.
        alive = [hold for hold in holds if hold.call_id in self._open]
        if not alive:
            return
        arguments = [word for hold in alive for word in hold.arguments()]

        async def work(session: Session) -> list[bytes]:
            await self._hints.note(session, account_id)
            patience_ms = int(self._patience_s * 1000)
            states: list[bytes] = await session.script(
                self._scripts.keep, account_keys(account_id), self._offset_ms, patience_ms, *arguments
            )
            return states

        for hold, state in zip(alive, await self._redis.attempt(work), strict=True):
            if state in (b"swept", b"confirmed"):
                self._lose(hold.call_id)

    def _lose(self, call_id: UUID) -> None:
        if call_id in self._open and call_id not in self._lost:
            self._lost.add(call_id)
            metrics.LOST.inc()
            log.warning("admission.open_call_was_swept", call_id=str(call_id))
            self.on_swept(call_id)

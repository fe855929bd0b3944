"""Calls that are over here, until Redis knows it: settled at what they were worth, or undone because they never began.

Undoing is for an admission whose answer was lost, or that could not be journalled: Redis may hold for a call that
never reached a provider. Only the ledger removes entries (money.md 6), so the entry is marked as swept, worth nothing:
what it took is free at once, and the next sweep reports it as orphaned, which the ledger books at zero and confirms.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from gateway.admission import metrics
from gateway.admission.commands import Commands
from gateway.admission.connection import RedisConnection, Session
from gateway.admission.hints import Hints
from gateway.admission.hold import UNKNOWN_CALL, Hold, Stamped, packed_stamped
from gateway.admission.scripts import AccountScripts, account_keys
from gateway.admission.types import Amounts, SettleAnswer, Unacknowledged
from kit import logging

log = logging.get(__name__)

AT_ONCE: Final = 50
ASK_AFTER_S: Final = 60.0

Settled = Callable[[SettleAnswer], None]


class EndedCall:
    """A call whose end Redis does not know yet."""

    __slots__ = ("account_id", "amounts", "call_id", "hold", "stamped")

    def __init__(
        self, call_id: UUID, account_id: UUID, *, hold: Hold | None, amounts: Amounts, stamped: Stamped | None = None
    ) -> None:
        self.call_id = call_id
        self.account_id = account_id
        self.hold = hold
        self.amounts = amounts
        self.stamped = stamped

    def packed(self, ask_after_ms: int) -> str:
        credit_nano, tokens, requests, overage_nano, rate_tokens, _ = self.amounts
        if self.hold is not None:
            known = self.hold.packed()
        else:
            known = UNKNOWN_CALL if self.stamped is None else packed_stamped(self.stamped, self.amounts)
        return (
            f"{self.call_id.int:032x}|{ask_after_ms}|"
            f"{credit_nano}|{tokens}|{overage_nano}|{requests}|{rate_tokens}|{known}"
        )

    @property
    def report(self) -> bytes:
        return b"" if self.hold is None else self.hold.request.report


class EndedCalls:
    """Tells Redis, and again until it worked."""

    def __init__(self, *, redis: RedisConnection, hints: Hints, commands: Commands) -> None:
        self._redis = redis
        self._hints = hints
        self._commands = commands
        self._scripts = AccountScripts()
        # By the ids' integers: a UUID is hashed in Python, on each look-up anew.
        self._unsettled: dict[int, EndedCall] = {}
        self._undone: dict[UUID, UUID] = {}
        self.ask_after_ms = int(ASK_AFTER_S * 1000)

    @property
    def unsettled(self) -> int:
        return len(self._unsettled)

    @property
    def undone(self) -> int:
        return len(self._undone)

    def confirmed(self, call_id: UUID) -> None:
        self._unsettled.pop(call_id.int, None)

    def undo(self, call_id: UUID, account_id: UUID) -> None:
        self._undone[call_id] = account_id

    def settle(self, ended: EndedCall, then: Settled | None) -> None:
        """Turn the hold into what the call was worth; what Redis does not take now is tried again in the background."""
        self._unsettled[ended.call_id.int] = ended
        wire, run = self._redis.fast.wire, self._redis.fast.run
        if wire is None or run is None:
            if then is not None:
                then("pending")
            return
        self._hints.note_soon(wire, run.run_id, ended.account_id)
        command = self._commands.settle(run.run_id)
        words = command.written(ended.account_id, ended.packed(self.ask_after_ms), ended.report)
        wire.send(words, _Settling(self, ended, then), self._scripts.settle)

    def answered(self, ended: EndedCall, reply: object) -> SettleAnswer:
        """What Redis said to a settlement."""
        if not isinstance(reply, bytes):
            return "pending"
        if self._unsettled.get(ended.call_id.int) is ended:
            del self._unsettled[ended.call_id.int]
        return "confirmed" if reply == b"confirmed" else "ok"

    async def settle_waiting(self) -> None:
        """Settle and undo what Redis did not take at once; raises `AdmissionUnavailableError`."""
        waiting = list(self._unsettled.values())
        for at in range(0, len(waiting), AT_ONCE):
            await asyncio.gather(*(self._settle(ended) for ended in waiting[at : at + AT_ONCE]))
        undone = list(self._undone.items())
        for at in range(0, len(undone), AT_ONCE):
            await asyncio.gather(*(self._release(*one) for one in undone[at : at + AT_ONCE]))

    def memo(self, ended: EndedCall) -> bytes:
        """What `enter` needs once nothing but the spool knows of the call; never raises."""
        return ended.packed(self.ask_after_ms).encode()

    async def enter(self, calls: Sequence[Unacknowledged]) -> int:
        """Enter ended calls that Redis may have lost; how many. Raises `AdmissionUnavailableError`."""
        known = [call for call in calls if call.memo]
        for at in range(0, len(known), AT_ONCE):
            chunk = known[at : at + AT_ONCE]
            await asyncio.gather(*(self._tell(call.account_id, call.memo.decode(), b"") for call in chunk))
        return len(known)

    async def _settle(self, ended: EndedCall) -> None:
        if self._unsettled.get(ended.call_id.int) is ended:
            packed = ended.packed(self.ask_after_ms)
            self.answered(ended, await self._tell(ended.account_id, packed, ended.report))

    async def _tell(self, account_id: UUID, packed: str, report: bytes) -> object:
        async def work(session: Session) -> object:
            await self._hints.note(session, account_id)
            keys, offset_ms = account_keys(account_id), self._commands.offset_ms
            return await session.script(self._scripts.settle, keys, offset_ms, packed, report)

        return await self._redis.attempt(work)

    async def _release(self, call_id: UUID, account_id: UUID) -> None:
        async def work(session: Session) -> bytes:
            await self._hints.note(session, account_id)
            keys = account_keys(account_id)
            was: bytes = await session.script(self._scripts.release, keys, self._commands.offset_ms, call_id.hex)
            return was

        was = await self._redis.attempt(work)
        self._undone.pop(call_id, None)
        metrics.UNDONE.inc()
        log.info("admission.undone", account_id=str(account_id), call_id=str(call_id), was=was.decode())


class _Settling:
    """A settlement on its way."""

    __slots__ = ("_calls", "_ended", "_then")

    def __init__(self, calls: EndedCalls, ended: EndedCall, then: Settled | None) -> None:
        self._calls = calls
        self._ended = ended
        self._then = then

    def __call__(self, reply: object) -> None:
        answer = self._calls.answered(self._ended, reply)
        if self._then is not None:
            self._then(answer)

"""Admission as the rest of the gateway sees it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from contracts.ledger import BalanceChanged
from contracts.money import MAX_AMOUNT
from gateway.admission import metrics
from gateway.admission.allowance import OpenAllowance
from gateway.admission.asking import REACH_S, ROUNDS, Asking, AskingParts, Then
from gateway.admission.commands import commands_for
from gateway.admission.connection import RedisConnection
from gateway.admission.ended_calls import EndedCall, Settled
from gateway.admission.growing import Extended, Growing
from gateway.admission.hints import VISIT_AFTER_S, Hints
from gateway.admission.hold import Stamped, held_call
from gateway.admission.learned import LearnedTerms
from gateway.admission.open_calls import OpenCalls
from gateway.admission.scripts import AccountScripts, Script, account_keys, calls_key
from gateway.admission.snapshots import Snapshots
from gateway.admission.standing import Standing, standing_of
from gateway.admission.terms import AccountTerms
from gateway.admission.types import (
    AdmissionRequest,
    AdmissionUnavailableError,
    Amounts,
    Decision,
    HeldCall,
    SettleAnswer,
    SnapshotSource,
    SpooledCalls,
)
from kit import logging
from kit.clock import MovedClock, SystemClock
from kit.tasks import Tasks

log = logging.get(__name__)

MOST_ENTRIES: Final = 2000
FLUSH_S: Final = 3.0
_NEGATIVE: Final = "an amount is negative"


class Admission:
    """Admits and settles calls. The composition root starts it, stops it, and closes `redis` after it."""

    def __init__(
        self,
        *,
        redis: RedisConnection,
        ledger: SnapshotSource,
        instance: str,
        patience_s: float,
        clock: MovedClock | None = None,
        most_entries: int = MOST_ENTRIES,
        spooled: SpooledCalls | None = None,
    ) -> None:
        self._redis = redis
        self._instance = instance
        clock, patience_ms = clock or SystemClock(), int(patience_s * 1000)
        self._scripts = AccountScripts()
        self._commands = commands = commands_for(self._scripts, clock=clock)
        hints = Hints(redis, clock=clock, visit_after_s=min(VISIT_AFTER_S, patience_s))
        self._snapshots = Snapshots(redis=redis, ledger=ledger, clock=clock)
        self._calls = OpenCalls(redis=redis, hints=hints, commands=commands, patience_s=patience_s, spooled=spooled)
        self._learned = LearnedTerms()
        allowance = OpenAllowance()
        self._calls.on_entered = allowance.close
        parts = AskingParts(
            redis=redis,
            scripts=self._scripts,
            commands=commands,
            hints=hints,
            snapshots=self._snapshots,
            calls=self._calls,
            learned=self._learned,
            allowance=allowance,
            clock=clock,
        )
        self._asking = Asking(parts, patience_ms=patience_ms, most_entries=most_entries)
        self._growing = Growing(parts, self._asking, patience_ms=patience_ms)
        self._tasks = Tasks()
        self.terms_of: Callable[[UUID], AccountTerms | None] = self._learned.find
        """The last known terms of an account; None: `learn_terms` first."""

    @property
    def open_calls(self) -> frozenset[UUID]:
        """Calls of this gateway that are admitted and neither settled nor abandoned."""
        return self._calls.ids

    @property
    def on_swept(self) -> Callable[[UUID], None]:
        """Called once for an open call that turns out to be swept or booked: its stream must end with an error."""
        return self._calls.on_swept

    @on_swept.setter
    def on_swept(self, callback: Callable[[UUID], None]) -> None:
        self._calls.on_swept = callback

    async def start(self) -> None:
        """Raises `RedisMisconfiguredError` when Redis could evict holds; a Redis that is away may come later."""
        await self._redis.start()
        self._tasks.start("admission-heartbeats", self._calls.run())
        log.info("admission.started", instance=self._instance, scripts=self._scripts.admit.sha[:12])

    async def stop(self) -> None:
        """Stop beating; a last attempt is made to settle what has ended."""
        await self._tasks.stop()
        await self._asking.stop()
        metrics.tell_decisions()
        with suppress(AdmissionUnavailableError, TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                await self._calls.ended.settle_waiting()

    async def live(self) -> None:
        """Raise `RuntimeError` when the heartbeats have stopped."""
        await self._tasks.live()

    async def ready(self) -> None:
        """Raise `RuntimeError` when Redis does not answer."""
        try:
            await self._redis.ping()
        except AdmissionUnavailableError as error:
            raise RuntimeError("Redis does not answer") from error

    async def learn_terms(self, account_id: UUID) -> AccountTerms:
        """What the script knows, after a reload where it knows nothing; raises `AdmissionUnavailableError`."""
        # Calls wait for it: the connection of calls answers sooner than that of slow work.
        with suppress(AdmissionUnavailableError):
            session = await self._redis.fast.up(within_s=REACH_S)
            keys = account_keys(account_id)
            reply = await session.script(self._scripts.terms, keys, self._commands.offset_ms)
            if reply != b"reload":
                return self._learned.learn(account_id, reply)
        return self._learned.learn(account_id, await self._known(account_id, self._scripts.terms))

    def admit_soon(self, request: AdmissionRequest, then: Then) -> None:
        """Check and reserve at once; `then` gets the decision, or an `AdmissionUnavailableError`.

        Idempotent by call id. A hold that may exist after an error is given back as soon as Redis answers.
        """
        if min(request.amounts) < 0:
            raise ValueError(_NEGATIVE)
        self._asking.soon(request, then)

    async def admit(self, request: AdmissionRequest) -> Decision:
        """The same, awaited; raises `AdmissionUnavailableError`. Whoever cancels it has not begun the call."""
        answered: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()

        def then(decision: Decision | Exception) -> None:
            if answered.done():
                self._calls.undo(request.call_id, request.account_id)
            elif isinstance(decision, Exception):
                answered.set_exception(decision)
            else:
                answered.set_result(decision)

        self.admit_soon(request, then)
        try:
            return await answered
        except asyncio.CancelledError:
            self._calls.undo(request.call_id, request.account_id)
            raise

    def extend_soon(self, call_id: UUID, amounts: Amounts, then: Extended) -> None:
        """Let an open call's hold grow to these totals: True, or False where a limit or the room says no.

        With a yes the call's `Admitted` has the new amounts and allocation.
        """
        if min(amounts) < 0:
            raise ValueError(_NEGATIVE)
        hold = self._calls.find(call_id)
        if hold is None:
            raise ValueError("the call is not open here")
        self._growing.soon(hold, amounts, then)

    def settle_soon(
        self, call_id: UUID, amounts: Amounts, then: Settled | None = None, *, account_id: UUID | None = None
    ) -> None:
        """The call has ended and is worth this; `account_id` is for calls that another gateway admitted.

        `then` may get `pending`: it is tried again until it works.
        """
        hold = self._calls.take(call_id)
        account = hold.request.account_id if hold is not None else account_id
        if account is None:
            raise ValueError("a call that is not open here needs its account")
        if min(amounts) < 0 or max(amounts) > MAX_AMOUNT:
            amounts = _in_range(call_id, amounts)
        self._calls.ended.settle(EndedCall(call_id, account, hold=hold, amounts=amounts), then)

    async def settle(self, call_id: UUID, amounts: Amounts, *, account_id: UUID | None = None) -> SettleAnswer:
        """The same, awaited; never raises."""
        answered: asyncio.Future[SettleAnswer] = asyncio.get_running_loop().create_future()

        def then(answer: SettleAnswer) -> None:
            if not answered.done():
                answered.set_result(answer)

        self.settle_soon(call_id, amounts, then, account_id=account_id)
        return await answered

    def memo(self, call_id: UUID, amounts: Amounts, *, stamped: Stamped | None = None) -> bytes:
        """What enters an ended call again after a loss of Redis: kept with its event until Kafka has that.

        `stamped` is for calls that no gateway keeps.
        """
        hold = self._calls.find(call_id)
        account_id = UUID(int=0) if hold is None else hold.account_id
        return self._calls.ended.memo(EndedCall(call_id, account_id, hold=hold, amounts=amounts, stamped=stamped))

    def spool_grew(self) -> None:
        """Ended calls of another process are this one's now: see that Redis knows them."""
        self._calls.spool_grew()

    def abandon(self, call_id: UUID) -> None:
        """The call's end could not be stored: its hold is left to the sweeper, which reports it as orphaned."""
        self._calls.abandon(call_id)

    def never_began(self, call_id: UUID, *, account_id: UUID) -> None:
        """An admitted call that was not dispatched: its hold is given back, a sweeper reports it as orphaned."""
        self._calls.undo(call_id, account_id)

    async def find_hold(self, account_id: UUID, call_id: UUID) -> HeldCall | None:
        """A call as it stands in Redis, whoever admitted it; None when the ledger has booked it, or nobody knows it."""
        key = calls_key(account_id)
        entry: bytes | None = await self._redis.attempt(lambda session: session.command("HGET", key, call_id.hex))
        return None if entry is None else held_call(account_id, call_id, entry)

    async def state(self, account_id: UUID) -> Standing:
        """Everything about an account's limits, budgets and holds; raises `AdmissionUnavailableError`."""
        reply = await self._known(account_id, self._scripts.standing)
        return standing_of(self._learned.learn(account_id, reply[2]), reply)

    async def apply_snapshot(self, event: BalanceChanged) -> None:
        """Apply what the ledger pushed; raises `AdmissionUnavailableError` or `SnapshotRefusedError`."""
        await self._snapshots.apply(event)
        for call_id in event.applied:
            self._calls.confirmed(call_id)

    async def _known(self, account_id: UUID, script: Script) -> Any:
        """A script's answer about an account that this run of Redis knows, with all calls of this gateway."""
        keys, offset_ms = account_keys(account_id), self._commands.offset_ms
        for _ in range(ROUNDS):
            session = await self._redis.slow.up(within_s=REACH_S)
            await self._calls.enter(session.run_id)
            reply = await self._redis.attempt(lambda session: session.script(script, keys, offset_ms))
            if reply not in (b"reload", [b"reload"]):
                return reply
            await self._snapshots.reload(account_id)
        raise AdmissionUnavailableError("The account's state does not come to rest; try again.")


def _in_range(call_id: UUID, amounts: Amounts) -> Amounts:
    """What scripts count with; anything else is an error of ours, and must not keep a call open for ever."""
    log.error("admission.price_out_of_range", call_id=str(call_id))
    return Amounts(*(min(max(amount, 0), MAX_AMOUNT) for amount in amounts))

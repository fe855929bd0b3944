"""The gateway's side of admission: asks the script, reloads what Redis lost, keeps calls alive, settles them."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, Literal
from uuid import UUID

from contracts.ledger import BalanceChanged
from gateway.admission import metrics
from gateway.admission.connection import RedisConnection, Session
from gateway.admission.hints import VISIT_AFTER_S, Hints
from gateway.admission.hold import Hold, instant_of, plan_of
from gateway.admission.open_calls import OpenCalls
from gateway.admission.scripts import AccountScripts, account_keys
from gateway.admission.snapshots import Snapshots
from gateway.admission.types import (
    AdmissionRequest,
    AdmissionUnavailableError,
    Admitted,
    Refused,
    SettleAnswer,
    SnapshotSource,
)
from kit import logging
from kit.ids import uuid7_instant
from kit.tasks import Tasks

log = logging.get(__name__)

Decision = Admitted | Refused | Literal["reload", "enter"]

MOST_ENTRIES: Final = 2000
ROUNDS: Final = 5
SKEW_ALARM: Final = timedelta(seconds=60)
FLUSH_S: Final = 3.0
WHOLE_BPS: Final = 10_000


class Admission:
    """Admits and settles calls. The composition root starts it, stops it, and closes `redis` after it."""

    def __init__(
        self,
        *,
        redis: RedisConnection,
        ledger: SnapshotSource,
        instance: str,
        patience_s: float,
        clock_offset_s: float = 0.0,
        most_entries: int = MOST_ENTRIES,
    ) -> None:
        self._redis = redis
        self._instance = instance
        self._patience_ms = int(patience_s * 1000)
        self._offset_ms = int(clock_offset_s * 1000)
        self._most_entries = most_entries
        self._hints = Hints(redis, offset_ms=self._offset_ms, visit_after_s=min(VISIT_AFTER_S, patience_s))
        self._snapshots = Snapshots(redis=redis, ledger=ledger, offset_ms=self._offset_ms)
        self._calls = OpenCalls(redis=redis, hints=self._hints, patience_s=patience_s, offset_ms=self._offset_ms)
        self._scripts = AccountScripts()
        self._tasks = Tasks()

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
        with suppress(AdmissionUnavailableError, TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                await self._calls.settle_waiting()

    async def live(self) -> None:
        """Raise `RuntimeError` when the heartbeats have stopped."""
        await self._tasks.live()

    async def ready(self) -> None:
        """Raise `RuntimeError` when Redis does not answer."""
        try:
            await self._redis.ping()
        except AdmissionUnavailableError as error:
            raise RuntimeError("Redis does not answer") from error

    async def admit(self, request: AdmissionRequest) -> Admitted | Refused:
        """Check and reserve at once; raises `AdmissionUnavailableError`.

        Idempotent by call id. When it raises or is cancelled, a hold may exist: it is swept and reported as orphaned.
        """
        if request.cost_nano < 0:
            raise ValueError("a cost is not negative")
        decision = None
        try:
            with metrics.SECONDS.time():
                decision = await self._decide(request)
        finally:
            if decision is None:
                # Also when cancelled: nobody will end the call, so nothing may keep its hold alive.
                self._calls.abandon(request.call_id)
                metrics.DECISIONS.labels("unavailable").inc()
        metrics.DECISIONS.labels("admitted" if isinstance(decision, Admitted) else decision.reason).inc()
        if isinstance(decision, Admitted):
            _check_skew(decision)
        return decision

    async def settle(self, *, account_id: UUID, call_id: UUID, price_nano: int) -> SettleAnswer:
        """The call has ended and costs this. Never raises: `pending` means that it is tried again until it works."""
        return await self._calls.settle(account_id=account_id, call_id=call_id, price_nano=price_nano)

    def abandon(self, call_id: UUID) -> None:
        """The call's end could not be stored: its hold is left to the sweeper, which reports it as orphaned."""
        self._calls.abandon(call_id)

    async def apply_snapshot(self, event: BalanceChanged) -> None:
        """Apply what the ledger pushed; raises `AdmissionUnavailableError` or `SnapshotRefusedError`."""
        await self._snapshots.apply(event)
        for call_id in event.applied:
            self._calls.confirmed(call_id)

    async def _decide(self, request: AdmissionRequest) -> Admitted | Refused:
        for _ in range(ROUNDS):
            decision = await self._redis.attempt(lambda session: self._ask(session, request))
            if decision == "enter":
                await self._calls.enter()
            elif decision == "reload":
                await self._snapshots.reload(request.account_id)
            else:
                return decision
        raise AdmissionUnavailableError("The account's state does not come to rest; try again.")

    async def _ask(self, session: Session, request: AdmissionRequest) -> Decision:
        if session.run_id != self._calls.entered_run:
            return "enter"
        await self._hints.note(session, request.account_id)
        reply: list[bytes] = await session.script(
            self._scripts.admit,
            account_keys(request.account_id),
            self._offset_ms,
            str(request.call_id),
            request.cost_nano,
            request.model,
            self._patience_ms,
            self._most_entries,
            request.report,
        )
        return self._decision(request, reply[0].decode(), [part.decode() for part in reply[1:]])

    def _decision(self, request: AdmissionRequest, answer: str, parts: list[str]) -> Decision:
        match answer:
            case "ok":
                return self._admitted(request, *parts)
            case "refused":
                return _refused(request, *parts)
            case "reload":
                return "reload"
            case _:
                raise AdmissionUnavailableError("A call with this id has ended already.")

    def _admitted(self, request: AdmissionRequest, *parts: Any) -> Admitted:
        admitted_ms, markup_bps, plan_version, plan_id, split, available = parts
        hold = Hold(
            call_id=request.call_id,
            account_id=request.account_id,
            admitted_ms=int(admitted_ms),
            markup_bps=int(markup_bps),
            plan_version=plan_version,
            plan_id=plan_id,
            split=split,
            report=request.report,
        )
        # Before anything is awaited: a re-entry that starts now must know the call.
        self._calls.add(hold)
        allocation = hold.allocation
        return Admitted(
            call_id=hold.call_id,
            admitted_at=instant_of(hold.admitted_ms),
            reserved_nano=sum(one.amount for one in allocation),
            markup_bps=hold.markup_bps,
            plan_id=plan_of(plan_id),
            plan_version=int(plan_version) if plan_version else None,
            allocation=allocation,
            available_nano=int(available),
        )


def _refused(request: AdmissionRequest, *parts: Any) -> Refused:
    reason, available, markup_bps, arming, first = parts
    return Refused(
        reason=reason,
        available_nano=int(available),
        required_nano=-(-request.cost_nano * (WHOLE_BPS + int(markup_bps)) // WHOLE_BPS),
        arming=int(arming),
        first_of_arming=first == "1",
    )


def _check_skew(admitted: Admitted) -> None:
    """Ids choose partitions by their time, so gateways and Redis must agree on it (money.md 1)."""
    skew = admitted.admitted_at - uuid7_instant(admitted.call_id)
    if abs(skew) > SKEW_ALARM:
        metrics.CLOCK_SKEWED.inc()
        log.error("admission.clock_skewed", call_id=str(admitted.call_id), skew_s=int(skew.total_seconds()))

"""One admission: asked in the same loop turn where nothing is in the way, else after what is in the way is done."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Literal

from gateway.admission import decisions, metrics
from gateway.admission.allowance import OpenAllowance
from gateway.admission.commands import Commands, packed_request
from gateway.admission.connection import RedisConnection
from gateway.admission.hints import Hints
from gateway.admission.hold import Hold, people_of
from gateway.admission.learned import LearnedTerms
from gateway.admission.open_calls import OpenCalls
from gateway.admission.scripts import AccountScripts, account_keys
from gateway.admission.snapshots import Snapshots
from gateway.admission.types import AdmissionRequest, AdmissionUnavailableError, Admitted, Decision, Replan
from gateway.admission.wire import RedisAwayError, RedisLostError
from kit import logging
from kit.clock import Clock

log = logging.get(__name__)

Then = Callable[[Decision | Exception], None]

ROUNDS: Final = 5
REACH_S: Final = 1.0
SKEW_ALARM_MS: Final = 60_000
TIMED: Final = 8
"""One decision in so many is timed: the histogram costs as much as half an admission."""


@dataclass(frozen=True, slots=True)
class AskingParts:
    """What asking needs of the rest of admission."""

    redis: RedisConnection
    scripts: AccountScripts
    commands: Commands
    hints: Hints
    snapshots: Snapshots
    calls: OpenCalls
    learned: LearnedTerms
    allowance: OpenAllowance
    clock: Clock


class Asking:
    """Asks the admit script."""

    def __init__(self, parts: AskingParts, *, patience_ms: int, most_entries: int) -> None:
        self._parts = parts
        self._redis = parts.redis
        self._calls = parts.calls
        self._patience_ms = patience_ms
        self._most_entries = most_entries
        self._rare: set[asyncio.Task[None]] = set()
        self._asked = 0

    def soon(self, request: AdmissionRequest, then: Then) -> None:
        parts, fast = self._parts, self._redis.fast
        wire, run = fast.wire, fast.run
        if wire is None or run is None or run.run_id != self._calls.entered_run:
            self.begin(self._slowly(request, then))
            return
        parts.hints.note_soon(wire, run.run_id, request.account_id)
        people = request.people or people_of(request)
        packed = packed_request(request, people, patience_ms=self._patience_ms, most_entries=self._most_entries)
        command = parts.commands.admit(run.run_id).written(request.account_id, packed, request.report)
        self._asked += 1
        asked = _Asked(self, request, people, then)
        wire.send(command, asked if self._asked % TIMED else _Timed(asked, time.monotonic()), parts.scripts.admit)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Rare work, in a task of its own."""
        task = asyncio.create_task(work)
        self._rare.add(task)
        task.add_done_callback(self._rare.discard)

    async def stop(self) -> None:
        for task in self._rare:
            task.cancel()
        await asyncio.gather(*self._rare, return_exceptions=True)

    def answered(self, request: AdmissionRequest, people: str, reply: Any, then: Then) -> None:
        """Anything but a plain yes."""
        answer = reply if isinstance(reply, Exception) else self._decision(request, people, reply)
        if answer == "reload" or isinstance(answer, RedisLostError):
            self.begin(self._slowly(request, then, asked=answer != "reload"))
            return
        if isinstance(answer, Exception):
            metrics.count_decision("unavailable")
        then(answer)

    async def _slowly(self, request: AdmissionRequest, then: Then, *, asked: bool = False) -> None:
        """With all that is rarely needed: entering again, a reload, another connection, the open allowance."""
        try:
            decision: Decision | Exception = await self._decide(request)
        except AdmissionUnavailableError as error:
            away = isinstance(error, RedisAwayError | RedisLostError)
            opened = self._opened(request) if away else None
            if opened is None:
                metrics.count_decision("unavailable")
                if asked or isinstance(error, RedisLostError):
                    self._calls.undo(request.call_id, request.account_id)
            decision = opened or error
        except asyncio.CancelledError:
            self._calls.undo(request.call_id, request.account_id)
            then(AdmissionUnavailableError())
            raise
        then(decision)

    async def _decide(self, request: AdmissionRequest) -> Decision:
        parts = self._parts
        for _ in range(ROUNDS):
            session = await self._redis.fast.up(within_s=REACH_S)
            if session.run_id != self._calls.entered_run:
                await self._calls.enter(session.run_id)
                continue
            await self._redis.attempt(lambda slow: parts.hints.note(slow, request.account_id))
            people = request.people or people_of(request)
            packed = packed_request(request, people, patience_ms=self._patience_ms, most_entries=self._most_entries)
            keys, offset_ms = account_keys(request.account_id), parts.commands.offset_ms
            reply = await session.script(parts.scripts.admit, keys, offset_ms, packed, request.report)
            answer = self._decision(request, people, reply)
            if isinstance(answer, Exception):
                raise answer
            if answer != "reload":
                return answer
            await parts.snapshots.reload(request.account_id)
        raise AdmissionUnavailableError("The account's state does not come to rest; try again.")

    def _decision(
        self, request: AdmissionRequest, people: str, reply: bytes
    ) -> Decision | Literal["reload"] | AdmissionUnavailableError:
        if reply.startswith(b"ok|"):
            return self.admitted(request, people, reply)
        word, _, rest = reply.partition(b"|")
        if word == b"refused":
            fields = reply.decode().split("|")
            metrics.count_decision(fields[1])
            return decisions.refused(request, fields)
        if word == b"terms":
            metrics.count_decision("replanned")
            near, _, encoded = rest.partition(b"|")
            return Replan(self._parts.learned.learn(request.account_id, encoded), near == b"1")
        if word == b"again":
            return self._again(request, people, reply.decode().split("|"))
        if word == b"reload":
            return "reload"
        return AdmissionUnavailableError("A call with this id has ended already.")

    def admitted(self, request: AdmissionRequest, people: str, reply: bytes) -> Admitted:
        """`ok|…`: the call is open here from now on."""
        fields = reply.decode().split("|")
        return self._entered(Hold(request, decisions.admitted(request, fields), fields[1], people, fields[2]))

    def _again(self, request: AdmissionRequest, people: str, fields: list[str]) -> Admitted:
        known = self._calls.find(request.call_id)
        if known is not None:
            return known.admitted
        return self._entered(
            Hold(request, decisions.admitted_again(request, fields), fields[1], people, split=fields[5])
        )

    def _entered(self, hold: Hold) -> Admitted:
        request = hold.request
        if request.expires_at is None:
            # Before anything is awaited: a re-entry that starts now must know the call.
            self._calls.add(hold)
        metrics.count_decision("admitted")
        skew_ms = int(hold.admitted_ms) - (request.call_id.int >> 80)
        if skew_ms > SKEW_ALARM_MS or skew_ms < -SKEW_ALARM_MS:
            # Ids choose partitions by their time, so gateways and Redis must agree on it (money.md 1).
            metrics.CLOCK_SKEWED.inc()
            log.error("admission.clock_skewed", call_id=str(request.call_id), skew_s=skew_ms // 1000)
        return hold.admitted

    def _opened(self, request: AdmissionRequest) -> Admitted | None:
        """Redis is away: the plan's open allowance decides."""
        price_nano, terms = request.amounts.credit_nano, request.terms
        if request.expires_at is not None or not self._parts.allowance.take(request.account_id, price_nano, terms):
            return None
        now = self._parts.clock.now()
        admitted = Admitted(
            call_id=request.call_id,
            account_id=request.account_id,
            admitted_at=now,
            amounts=request.amounts,
            allocation=(),
            plan_id=terms.plan_id,
            plan_version=terms.plan_version,
            markup_bps=terms.markup_for(request.model),
            near=bool(request.near),
            open=True,
        )
        split = f"-:c={price_nano}" if price_nano else ""
        admitted_ms = str(int(now.timestamp() * 1000))
        self._calls.add(Hold(request, admitted, admitted_ms, people_of(request), split))
        # Also when the same run comes back: it must know this call before it admits another.
        self._calls.entered_run = None
        metrics.count_decision("open")
        return admitted


class _Asked:
    """An admission on its way."""

    __slots__ = ("_asking", "_people", "_request", "_then")

    def __init__(self, asking: Asking, request: AdmissionRequest, people: str, then: Then) -> None:
        self._asking = asking
        self._request = request
        self._people = people
        self._then = then

    def __call__(self, reply: Any) -> None:
        if reply.__class__ is bytes and reply.startswith(b"ok|"):
            self._then(self._asking.admitted(self._request, self._people, reply))
        else:
            self._asking.answered(self._request, self._people, reply, self._then)


class _Timed:
    """One of the admissions that are timed."""

    __slots__ = ("_asked", "_began_s")

    def __init__(self, asked: _Asked, began_s: float) -> None:
        self._asked = asked
        self._began_s = began_s

    def __call__(self, reply: Any) -> None:
        metrics.SECONDS.observe(time.monotonic() - self._began_s)
        self._asked(reply)

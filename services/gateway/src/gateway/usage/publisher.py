"""Events on their way out: durable in Kafka or in the synced spool before anybody hears that they are stored.

An event leaves in the next turn of the loop, but at most one batch leaves each `LINGER_S`: under load, events made
within it travel together (a request costs as much CPU as fifty events). What Kafka has not acknowledged within
`BOUND_S` goes to the spool; should the acknowledgement come after all, the event is in Kafka twice, with the same id
and the same bytes.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from contracts.event import Event
from contracts.gateway import UsageRecorded
from gateway import metrics as gateway_metrics
from gateway.usage import metrics
from gateway.usage.event import orphan_event
from gateway.usage.journal import Journal
from gateway.usage.kafka import Parcel
from gateway.usage.links import Links
from gateway.usage.outgoing import Memo, Outgoing
from gateway.usage.spool import Spool
from kit import logging
from kit.partitions import key_hash
from kit.producer import ProducerError

log = logging.get(__name__)

LINGER_S: Final = 0.003
BOUND_S: Final = 2.0
# What an event takes in the spool as a rule; open calls have it reserved.
RESERVED_BYTES: Final = 4096
MOST_IN_FLIGHT: Final = 20_000
_TICK_S: Final = 0.05
_TIMED_EVERY_S: Final = 0.005
_MOST_KEYS: Final = 1 << 16
_SOURCE: Final = "gateway"
_FLUSH_S: Final = 10.0
_LAST_S: Final = 5.0
STOP_S: Final = _LAST_S + _FLUSH_S
"""The longest that `UsagePublisher.stop` takes."""

_STORED_SECONDS: Final = {where: metrics.STORE_SECONDS.labels(where) for where in ("kafka", "spool")}

Then = Callable[[bool], None]


class SpooledCall(NamedTuple):
    """A call whose event Kafka has not acknowledged; `memo` is what admission gave along with it."""

    account_id: UUID
    call_id: UUID
    value: bytes
    memo: bytes


class UsagePublisher:
    """The one way by which events leave the gateway.

    `room`: calls may be admitted, as their events can be kept.
    """

    def __init__(  # the composition root's
        self,
        links: Links,
        *,
        instance: str,
        spool: Spool,
        journal: Journal,
        linger_s: float = LINGER_S,
        bound_s: float = BOUND_S,
    ) -> None:
        self.instance = instance
        self.room = False
        self.unreported: set[UUID] = set()
        self._links = links
        self._spool = spool
        self._journal = journal
        self._linger_s = linger_s
        self._bound_s = bound_s
        self._keys: dict[int, tuple[bytes, int]] = {}
        self._waiting: list[Outgoing] = []
        self._lingering: asyncio.Handle | None = None
        self._last_sent_s = 0.0
        self._in_flight: deque[tuple[float, list[Parcel]]] = deque()
        self._in_flight_events = 0
        self._to_spool = 0
        self._stored_events = 0
        self._timed_s = 0.0
        self._stopping = False
        self._stored = gateway_metrics.USAGE_STORED.labels("stored")
        self._failed = gateway_metrics.USAGE_STORED.labels("failed")

    @property
    def kafka_up(self) -> bool:
        return self._links.is_up

    def store_soon(
        self, account_id: UUID, call_id: UUID, value: bytes, then: Then, *, memo: Memo | None = None
    ) -> None:
        """`then(True)` once Kafka (all in-sync replicas) or the synced spool has the usage event."""
        key, hashed = self._keys.get(account_id.int) or self._key_of(account_id)
        self._waiting.append(Outgoing(UsageRecorded.type, key, hashed, value, call_id, then, memo, time.monotonic()))
        if self._lingering is None:
            self._linger()

    def say_soon(self, event: Event, then: Then | None = None) -> None:
        """The same for an event of another kind."""
        key, value = event.key.encode(), event.encode(_SOURCE)
        self._waiting.append(Outgoing(event.type, key, key_hash(key), value, event.id, then, None, time.monotonic()))
        if self._lingering is None:
            self._linger()

    async def store(self, account_id: UUID, call_id: UUID, value: bytes, *, memo: Memo | None = None) -> bool:
        """`store_soon`, awaited."""
        stored, then = _awaited()
        self.store_soon(account_id, call_id, value, then, memo=memo)
        return await stored

    async def say(self, event: Event) -> bool:
        """`say_soon`, awaited."""
        stored, then = _awaited()
        self.say_soon(event, then)
        return await stored

    async def orphaned(  # noqa: PLR0917  # the shape of `OrphanPublisher`
        self, account_id: UUID, call_id: UUID, report: bytes, allocation: Iterable[Any], admitted_at: datetime
    ) -> None:
        """Report a call whose end nobody reported; raises `ProducerError` when that could not be stored."""
        value = orphan_event(
            report,
            account_id=account_id,
            call_id=call_id,
            allocation=allocation,
            admitted_at=admitted_at,
            instance=self.instance,
        )
        if not await self.store(account_id, call_id, value):
            raise ProducerError("the orphaned call could not be reported")

    async def spooled(self) -> AsyncIterator[list[SpooledCall]]:
        """Calls whose events only the spool has, some at a time; raises `OSError`.

        A Redis that lost them must be told again (money.md 29).
        """
        async for some in self._spool.unacknowledged():
            yield [
                SpooledCall(UUID(event.key.decode()), event.event_id, event.value, memo)
                for event, memo in some
                if event.topic == UsageRecorded.type
            ]

    async def ready(self) -> None:
        """Raise `RuntimeError` while calls could not be recorded. Without Kafka they can: the spool takes them."""
        if not self.room:
            raise RuntimeError("journal or spool take no more")

    def _key_of(self, account_id: UUID) -> tuple[bytes, int]:
        if len(self._keys) >= _MOST_KEYS:
            self._keys.clear()
        text = str(account_id).encode()
        key = self._keys[account_id.int] = text, key_hash(text)
        return key

    def _linger(self) -> None:
        loop = asyncio.get_running_loop()
        wait_s = self._last_sent_s + self._linger_s - loop.time()
        # While little happens an event need not wait: the loop's timers are a millisecond late.
        soon = wait_s <= 0
        self._lingering = loop.call_soon(self._send_waiting) if soon else loop.call_later(wait_s, self._send_waiting)

    def _send_waiting(self) -> None:
        self._lingering = None
        self._last_sent_s = asyncio.get_running_loop().time()
        events, self._waiting = self._waiting, []
        link = self._links.link
        if link is None:
            self._put_aside(events, "away")
        elif self._in_flight_events > MOST_IN_FLIGHT:
            self._put_aside(events, "backlog")
        else:
            self._in_flight_events += len(events)
            self._in_flight.append((time.monotonic() + self._bound_s, link.send(events, self._arrived)))

    def _arrived(self, parcel: Parcel) -> None:
        if parcel.is_over:
            return
        events = self._end(parcel)
        if parcel.is_acked:
            self._durable(events, "kafka")
            return
        if parcel.link_failed:
            self._links.doubt(parcel.error or "failed")
        self._put_aside(events, "failed")

    def _overdue(self, parcel: Parcel) -> None:
        events = self._end(parcel)
        self._links.doubt("late")
        self._put_aside(events, "late")

    def _end(self, parcel: Parcel) -> list[Outgoing]:
        """Its events; the parcel stands in line for some time yet, and must not keep their calls alive."""
        events, parcel.events = parcel.events, []
        parcel.is_over = True
        self._in_flight_events -= len(events)
        return events

    def _put_aside(self, events: Sequence[Outgoing], reason: str) -> None:
        metrics.SPOOLED.labels(reason).inc(len(events))
        self._to_spool += 1
        self._spool.store_soon(events, self._spooled)

    def _spooled(self, events: Sequence[Outgoing], is_stored: bool) -> None:  # noqa: FBT001  # the shape of `Stored`
        self._to_spool -= 1
        self.look_for_room()
        if is_stored:
            self._durable(events, "spool")
            return
        self._failed.inc(len(events))
        log.error("gateway.events_not_stored", events=len(events))
        self.unreported.update(event.event_id for event in events if event.topic == UsageRecorded.type)
        for event in events:
            if event.then is not None:
                event.then(False)  # the shape of `Then`

    def _durable(self, events: Sequence[Outgoing], where: str) -> None:
        self._stored_events += len(events)
        now = time.monotonic()
        if now - self._timed_s >= _TIMED_EVERY_S:
            self._timed_s = now
            _STORED_SECONDS[where].observe(now - events[0].made_s)
        self._journal.ended([event.event_id for event in events if event.topic == UsageRecorded.type])
        for event in events:
            if event.then is not None:
                event.then(True)  # the shape of `Then`

    async def watch(self) -> None:
        """Spool what is overdue, and keep `room` true to the disk; runs until cancelled."""
        while True:
            await asyncio.sleep(_TICK_S)
            self._look_for_overdue(time.monotonic())
            self.look_for_room()
            self._tell_stored()

    def _look_for_overdue(self, now: float) -> None:
        while self._in_flight:
            deadline, parcels = self._in_flight[0]
            left = [parcel for parcel in parcels if not parcel.is_over]
            if left and deadline > now:
                return
            self._in_flight.popleft()
            for parcel in left:
                self._overdue(parcel)

    def _tell_stored(self) -> None:
        """A counter's lock costs more than an event's whole way, so it is told now and then."""
        self._stored.inc(self._stored_events)
        self._stored_events = 0

    def look_for_room(self) -> None:
        """Whether the events of all open calls, and of some more, would find a place (money.md 11)."""
        calls = self._journal.open_calls + self._in_flight_events + len(self._waiting)
        has_room = self._spool.has_room(calls * RESERVED_BYTES)
        self.room = has_room and not self._stopping and not self._journal.is_broken
        metrics.SPOOL_ROOM.set(self.room)

    async def stop(self) -> None:
        """Everything acknowledged or in the spool. Raises `TimeoutError` when the disk does not take it."""
        self._stopping = True
        self.look_for_room()
        if self._lingering is not None:
            self._lingering.cancel()
            self._send_waiting()
        with suppress(TimeoutError):
            await self._idle(lambda: not self._in_flight_events, timeout_s=min(self._bound_s, _LAST_S))
        self._look_for_overdue(float("inf"))
        await self._idle(lambda: not self._to_spool, timeout_s=_FLUSH_S)
        self._tell_stored()

    async def _idle(self, is_idle: Callable[[], bool], *, timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s):
            while not is_idle():  # noqa: ASYNC110  # only while the process ends
                await asyncio.sleep(_TICK_S / 10)


def _awaited() -> "tuple[asyncio.Future[bool], Then]":
    stored: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def then(is_stored: bool) -> None:  # noqa: FBT001  # the shape of `Then`
        if not stored.done():
            stored.set_result(is_stored)

    return stored, then

"""Refused calls, counted per account and reason and told per closed minute (money.md 10)."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from contracts.gateway import CallsRefused, RefusalReason
from gateway.admission.types import Refused
from gateway.usage import metrics
from gateway.usage.counts import Sayer
from kit.clock import Clock
from kit.ids import fact_id

MOST_COUNTED: Final = 20_000
_MINUTE_S: Final = 60
_LOOK_S: Final = 1.0


@dataclass(slots=True)
class _Count:
    """One account, one reason, one minute; figures are the last refusal's."""

    count: int
    arming: int
    model: str
    required_nano: int
    available_nano: int
    limit: str | None


class RefusalCounts:
    """Holds one minute's counts; bounded, because a flood of accounts must not cost memory."""

    def __init__(self, *, instance: str, say: Sayer, clock: Clock, most_counted: int = MOST_COUNTED) -> None:
        self._instance = instance
        self._say = say
        self._clock = clock
        self._most = most_counted
        self._counts: dict[tuple[int, UUID, RefusalReason], _Count] = {}
        self._first: set[asyncio.Task[bool]] = set()

    def note(self, account_id: UUID, refused: Refused, *, model: str) -> None:
        """Count a refusal (`admission.types.Refused`); the first one for credit of an arming is told at once."""
        if refused.reason == "credit" and refused.first_of_arming:
            self._tell_first(account_id, refused, model=model)
        key = int(self._clock.now().timestamp()) // _MINUTE_S, account_id, refused.reason
        found = self._counts.get(key)
        if found is None:
            if len(self._counts) >= self._most:
                metrics.REFUSALS_UNCOUNTED.inc()
                return
            found = self._counts[key] = _Count(0, 0, "", 0, 0, None)
        found.count += 1
        found.arming, found.model = refused.arming, model
        found.required_nano, found.available_nano = refused.required.credit_nano, refused.left.credit_nano
        found.limit = refused.limit

    def _tell_first(self, account_id: UUID, refused: Refused, *, model: str) -> None:
        event = CallsRefused(
            id=fact_id("refused", account_id, "credit", refused.arming),
            time=self._clock.now(),
            account_id=account_id,
            reason="credit",
            arming=refused.arming,
            count=1,
            model_asked=model[:200],
            required_nano=refused.required.credit_nano,
            available_nano=refused.left.credit_nano,
        )
        task = asyncio.ensure_future(self._say.say(event))
        self._first.add(task)
        task.add_done_callback(self._first.discard)

    async def run(self) -> None:
        """Tell each minute after it has ended, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            await self.tell_closed(int(self._clock.now().timestamp()) // _MINUTE_S)

    async def tell_all(self) -> None:
        """At the end of the process: the minute that runs as well."""
        if self._first:
            await asyncio.wait(set(self._first))
        await self.tell_closed(None)

    async def tell_closed(self, minute: int | None) -> None:
        """Publish the counts of minutes before this one, all when None; what cannot be stored is told later."""
        for key, found in list(self._counts.items()):
            if (minute is None or key[0] < minute) and await self._say.say(self._event(key, found)):
                self._counts.pop(key, None)

    def _event(self, key: tuple[int, UUID, RefusalReason], found: _Count) -> CallsRefused:
        minute, account_id, reason = key
        start = datetime.fromtimestamp(minute * _MINUTE_S, tz=UTC)
        return CallsRefused(
            id=fact_id("calls-refused", self._instance, account_id, reason, minute),
            time=start + timedelta(seconds=_MINUTE_S),
            account_id=account_id,
            reason=reason,
            arming=found.arming,
            count=found.count,
            model_asked=found.model[:200],
            required_nano=found.required_nano,
            available_nano=found.available_nano,
            gateway_instance=self._instance,
            window_start=start,
            limit=found.limit,
        )

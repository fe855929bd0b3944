"""At start: the calls that a dead process left without an end are reported as orphaned (money.md 11)."""

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import Final, Protocol
from uuid import UUID

from contracts.event import Event
from gateway.usage import metrics
from gateway.usage.counts import calls_counted, first_uncounted
from gateway.usage.event import orphan_event
from gateway.usage.journal import Journal
from gateway.usage.journal_files import Journalled
from kit import logging

log = logging.get(__name__)

_AT_ONCE: Final = 500


class Recorder(Protocol):
    """Where events go."""

    async def store(self, account_id: UUID, call_id: UUID, value: bytes) -> bool:
        """Whether the usage event is durable."""
        ...

    async def say(self, event: Event) -> bool:
        """Whether the event of another kind is."""
        ...


async def report_orphans(
    calls: Iterable[Journalled], *, instance: str, recorder: Recorder, ended: Callable[[Collection[UUID]], None]
) -> int:
    """Publish `orphaned` for each, a bounded number at a time; those that are durable are `ended`. How many are not."""
    left, waiting = 0, list(calls)
    for start in range(0, len(waiting), _AT_ONCE):
        some = waiting[start : start + _AT_ONCE]
        stored = await asyncio.gather(*(_report(call, instance=instance, recorder=recorder) for call in some))
        done = [call.call_id for call, ok in zip(some, stored, strict=True) if ok]
        ended(done)
        left += len(some) - len(done)
        metrics.ORPHANED.inc(len(done))
    return left


async def _report(call: Journalled, *, instance: str, recorder: Recorder) -> bool:
    try:
        account_id = call.account_id
        value = orphan_event(
            call.report,
            account_id=account_id,
            call_id=call.call_id,
            allocation=call.allocation,
            admitted_at=call.admitted_at,
            instance=instance,
        )
    except (ValueError, KeyError, TypeError) as error:
        # One report that cannot be read must not keep a gateway from starting; its hold is swept all the same.
        log.error("gateway.report_unreadable", call_id=str(call.call_id), reason=type(error).__name__)  # noqa: TRY400
        return True
    return await recorder.store(account_id, call.call_id, value)


async def end_journal(journal: Journal, *, instance: str, spooled: Collection[UUID], recorder: Recorder) -> int:
    """End every call of a journal that was left behind, and count its minutes. How many calls are left."""
    calls = await asyncio.to_thread(journal.start)
    orphans = [call for call in calls if call.call_id not in spooled]
    journal.ended([call.call_id for call in calls if call.call_id in spooled])
    left = await report_orphans(orphans, instance=instance, recorder=recorder, ended=journal.ended)
    if orphans:
        log.warning("gateway.calls_orphaned", instance=instance, calls=len(orphans), left=left)
    return left


async def count_left_minutes(journal: Journal, *, instance: str, recorder: Recorder) -> bool:
    """Tell the minutes that a dead process had not told yet, up to its last admission; False when it did not work."""
    last, first = max(journal.minutes(), default=None), first_uncounted(journal)
    if last is None or first is None:
        return True
    for minute in range(first, last + 1):
        if not await recorder.say(calls_counted(instance, minute, admitted=journal.admitted_in(minute))):
            return False
        await journal.counted(minute)
    return True

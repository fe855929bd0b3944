"""What calls add up to by UTC day, plan, model, project, key and user."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date
from typing import Final, NamedTuple
from uuid import UUID

from ledger.domain.pricing import RatedCall

WENT_WELL: Final = frozenset({"completed", "client_gone"})


class DayKey(NamedTuple):
    """Where a call is counted; no plan is ''."""

    account_id: UUID
    day: date
    plan_id: str
    model: str
    project_id: UUID | None
    api_key_id: UUID | None
    user_id: UUID | None


class DaySums(NamedTuple):
    """What a call adds there."""

    calls: int
    failed: int
    input_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    cache_read_tokens: int
    output_tokens: int
    price_nano: int
    value_nano: int
    plan_tokens: int
    plan_requests: int
    overage_nano: int
    cost_nano: int
    recognised_nano: int


Days = dict[DayKey, DaySums]
Sums = Mapping[DayKey, Sequence[int]]
"""Per key what `DaySums` has, in its order."""
_tuple: Final = tuple.__new__
"""What `DayKey(…)` comes to, without a call of Python."""


def days_of(calls: Iterable[RatedCall], days: Days | None = None) -> Sums:
    """Calls as they were booked, added up."""
    found: dict[DayKey, list[int]] = {key: list(sums) for key, sums in days.items()} if days else {}
    for call in calls:
        event, counts = call.event, call.event.counts
        admitted_at = event.admitted_at
        key = _tuple(DayKey, (
            event.account_id,
            # The events' own instants are UTC already, but for those that were written by hand.
            (admitted_at if admitted_at.tzinfo is UTC else admitted_at.astimezone(UTC)).date(),
            event.plan_id or "",
            call.model,
            event.project_id,
            event.api_key_id,
            event.user_id,
        ))  # fmt: skip
        sums, is_failed = found.get(key), call.outcome not in WENT_WELL
        # Written out in the order of the fields: every call of a batch comes by here.
        if sums is None:
            found[key] = [
                1, is_failed, counts.input_tokens, counts.cache_write_5m_tokens, counts.cache_write_1h_tokens,
                counts.cache_read_tokens, counts.output_tokens, call.price_nano, call.value_nano, call.plan_tokens,
                call.plan_requests, call.overage_nano, call.cost_nano, call.recognised_nano,
            ]  # fmt: skip
            continue
        sums[0] += 1
        sums[1] += is_failed
        sums[2] += counts.input_tokens
        sums[3] += counts.cache_write_5m_tokens
        sums[4] += counts.cache_write_1h_tokens
        sums[5] += counts.cache_read_tokens
        sums[6] += counts.output_tokens
        sums[7] += call.price_nano
        sums[8] += call.value_nano
        sums[9] += call.plan_tokens
        sums[10] += call.plan_requests
        sums[11] += call.overage_nano
        sums[12] += call.cost_nano
        sums[13] += call.recognised_nano
    return found


def add(days: Days, key: DayKey, sums: DaySums) -> None:
    known = days.get(key)
    days[key] = sums if known is None else DaySums._make(map(int.__add__, known, sums))


def correcting(*, price_nano: int, cost_nano: int, recognised_nano: int) -> DaySums:
    """What rating a call again adds: it was counted already."""
    return DaySums._make((0, 0, 0, 0, 0, 0, 0, price_nano, 0, 0, 0, 0, cost_nano, recognised_nano))


def taken_out(sums: DaySums) -> DaySums:
    """What undoes having added these."""
    return DaySums(*map(int.__neg__, sums))

"""What calls add up to by UTC day, plan, model, project, key and user."""

from collections.abc import Iterable
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


def days_of(calls: Iterable[RatedCall], days: Days | None = None) -> Days:
    """Calls as they were booked, added up."""
    days = {} if days is None else days
    for call in calls:
        event, counts = call.event, call.event.counts
        admitted_at = event.admitted_at
        key = DayKey(
            event.account_id,
            # The events' own instants are UTC already, but for those that were written by hand.
            (admitted_at if admitted_at.tzinfo is UTC else admitted_at.astimezone(UTC)).date(),
            event.plan_id or "",
            call.model,
            event.project_id,
            event.api_key_id,
            event.user_id,
        )
        sums = DaySums(
            1,
            0 if call.outcome in WENT_WELL else 1,
            counts.input_tokens,
            counts.cache_write_5m_tokens,
            counts.cache_write_1h_tokens,
            counts.cache_read_tokens,
            counts.output_tokens,
            call.price_nano,
            call.value_nano,
            call.plan_tokens,
            call.plan_requests,
            call.overage_nano,
            call.cost_nano,
            call.recognised_nano,
        )
        add(days, key, sums)
    return days


def add(days: Days, key: DayKey, sums: DaySums) -> None:
    known = days.get(key)
    days[key] = sums if known is None else DaySums._make(map(int.__add__, known, sums))


def taken_out(sums: DaySums) -> DaySums:
    """What undoes having added these."""
    return DaySums(*map(int.__neg__, sums))

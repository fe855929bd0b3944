"""What an instance admitted is told per closed minute, zero included, the same again after a crash (money.md 31)."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from contracts.gateway import CallsCounted, CallsRefused
from gateway.admission.types import Admitted, Amounts, Left, Refused
from gateway.usage.counts import CallCounter
from gateway.usage.journal import Journal
from gateway.usage.recovery import count_left_minutes
from gateway.usage.refusals import RefusalCounts
from kit.clock import ManualClock
from kit.ids import uuid7

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ACCOUNT = UUID("0199f3a0-0000-7000-8000-00000000000a")


class Said:
    """Takes events; refuses them while `away`."""

    def __init__(self) -> None:
        self.events: list[CallsCounted | CallsRefused] = []
        self.away = False

    async def say(self, event) -> bool:
        if not self.away:
            self.events.append(event)
        return not self.away

    @property
    def counts(self) -> list[tuple[str, int]]:
        return [(event.window_start.strftime("%H:%M"), event.admitted) for event in self.events]


def admit(journal: Journal, *minutes: float) -> None:
    for minute in minutes:
        at = NOON + timedelta(minutes=minute)
        call = Admitted(
            call_id=uuid7(ManualClock(at)),
            account_id=ACCOUNT,
            admitted_at=at,
            amounts=Amounts(),
            allocation=(),
            plan_id=None,
            plan_version=None,
            markup_bps=0,
        )
        journal.admitted(call, report=b'{"account_id":"0199f3a0-0000-7000-8000-00000000000a"}')


@pytest.fixture
def clock():
    return ManualClock(NOON)


@pytest.fixture
def said():
    return Said()


def begun(folder, said: Said, clock: ManualClock) -> tuple[Journal, CallCounter]:
    journal = Journal(folder)
    journal.start()
    counter = CallCounter(journal, instance="g-1", say=said, clock=clock)
    counter.begin()
    return journal, counter


async def test_every_minute_that_is_over_is_told_once_and_with_zero_where_nothing_was_admitted(tmp_path, said, clock):
    journal, counter = begun(tmp_path, said, clock)
    admit(journal, 0.1, 0.2, 2.5)
    clock.advance(3 * 60 + 15)

    await counter.count_closed()
    await counter.count_closed()

    assert said.counts == [("12:00", 2), ("12:01", 0), ("12:02", 1)]


async def test_a_minute_waits_a_little_for_its_last_admissions(tmp_path, said, clock):
    journal, counter = begun(tmp_path, said, clock)
    clock.advance(65)
    await counter.count_closed()
    admit(journal, 0.99)
    clock.advance(10)
    await counter.count_closed()

    assert said.counts == [("12:00", 1)]


async def test_what_could_not_be_told_is_told_later(tmp_path, said, clock):
    journal, counter = begun(tmp_path, said, clock)
    admit(journal, 0.1)
    said.away = True
    clock.advance(80)
    await counter.count_closed()
    said.away = False
    await counter.count_closed()

    assert said.counts == [("12:00", 1)]


async def test_after_a_crash_minutes_are_counted_again_from_the_journal_under_the_same_ids(tmp_path, said, clock):
    journal, counter = begun(tmp_path, said, clock)
    admit(journal, 0.1, 1.1)
    clock.advance(80)
    await counter.count_closed()
    told = list(said.events)
    (tmp_path / "counted").unlink()

    again, counter = begun(tmp_path, said, clock)
    admit(again, 1.3)
    clock.advance(60)
    await counter.count_closed()

    assert said.counts == [("12:00", 1), ("12:00", 1), ("12:01", 2)]
    assert said.events[1] == told[0]


async def test_a_process_that_starts_again_goes_on_where_it_was(tmp_path, said, clock):
    journal, counter = begun(tmp_path, said, clock)
    admit(journal, 0.1, 1.1)
    clock.advance(80)
    await counter.count_closed()
    clock.advance(120)

    _, counter = begun(tmp_path, said, clock)
    await counter.count_closed()

    assert said.counts == [("12:00", 1), ("12:01", 1), ("12:02", 0)]


async def test_a_process_that_slept_for_a_month_tells_what_it_admitted_and_zeros_only_as_far_as_journals_remember(
    tmp_path, said, clock
):
    journal = Journal(tmp_path, kept_s=180.0)
    journal.start()
    counter = CallCounter(journal, instance="g-1", say=said, clock=clock)
    counter.begin()
    admit(journal, 0.1, 2.1)

    clock.advance(30 * 86_400 + 60)
    await counter.count_closed()

    assert said.counts == [("12:00", 1), ("12:02", 1), ("11:57", 0), ("11:58", 0), ("11:59", 0)]


async def test_a_dead_process_is_counted_up_to_its_last_admission(tmp_path, said, clock):
    journal, _ = begun(tmp_path, said, clock)
    admit(journal, 0.1, 2.1)
    journal.close()
    left = Journal(tmp_path)
    left.start()

    assert await count_left_minutes(left, instance="g-1", recorder=said)
    assert await count_left_minutes(left, instance="g-1", recorder=said)

    assert said.counts == [("12:00", 1), ("12:01", 0), ("12:02", 1)]


def refused(**changes) -> Refused:
    values = {"reason": "requests_per_minute", "required": Amounts(credit_nano=7), "left": Left(credit_nano=3)}
    return Refused(**(values | changes))


def counts_on(said: Said, clock: ManualClock, **changes) -> RefusalCounts:
    return RefusalCounts(instance="g-1", say=said, clock=clock, **changes)


async def test_refusals_are_told_per_account_reason_and_closed_minute(said, clock):
    counts = counts_on(said, clock)
    for limit in ("requests_per_minute", "requests_per_minute", "plan"):
        counts.note(ACCOUNT, refused(limit=limit), model="m")
    counts.note(ACCOUNT, refused(reason="budget"), model="m")
    minute = int(NOON.timestamp()) // 60
    await counts.tell_closed(minute)
    assert said.events == []

    await counts.tell_closed(minute + 1)
    await counts.tell_closed(minute + 2)

    first, second = said.events
    assert (first.reason, first.count, first.limit, first.window_start) == ("requests_per_minute", 3, "plan", NOON)
    assert (first.required_nano, first.available_nano, first.gateway_instance) == (7, 3, "g-1")
    assert (second.reason, second.count) == ("budget", 1)
    assert first.id != second.id


async def test_the_first_refusal_for_credit_of_an_arming_is_told_at_once(said, clock):
    counts = counts_on(said, clock)
    counts.note(ACCOUNT, refused(reason="credit", arming=4, first_of_arming=True), model="m")
    counts.note(ACCOUNT, refused(reason="credit", arming=4), model="m")
    await asyncio.sleep(0)

    (event,) = said.events
    assert (event.reason, event.arming, event.count, event.window_start) == ("credit", 4, 1, None)


async def test_a_flood_of_accounts_costs_bounded_memory(said, clock):
    counts = counts_on(said, clock, most_counted=10)
    for _ in range(50):
        counts.note(uuid7(clock), refused(), model="m")
    await counts.tell_all()

    assert len(said.events) == 10

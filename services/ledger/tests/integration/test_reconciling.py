"""Journalled admissions = charges + set aside + parked, per gateway instance and window (money.md 31)."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from factories import Factory
from harness import Ledger

from contracts.gateway import CallsCounted, UsageRecorded
from kit import dead_letters
from kit.clock import ManualClock
from kit.ids import fact_id
from kit.received import SetAside, StoredRecord
from ledger.adapters.dead_letters import DeadLetter, dead_letter
from ledger.adapters.gateways import Journalled
from ledger.domain.reconciling import Window
from ledger.repository.accounts import insert_account
from ledger.service.booking import Booking
from ledger.service.reconciling import Reconciling
from ledger.service.repairing import Repaired, Repairing
from ledger.service.scheduling import ReconcileSchedule

GATEWAY = "gateway-1"
MINUTES = 10


@dataclass
class Witness:
    """Journals and dead letters as a test has them."""

    ids: dict[str, dict[UUID, datetime]] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)
    unreachable: tuple[str, ...] = ()
    asked: int = 0

    async def journalled(self, instance: str, *, start: datetime, end: datetime) -> Journalled:
        self.asked += 1
        ids = self.ids.get(instance)
        found = None if ids is None else frozenset(one for one, at in ids.items() if start <= at < end)
        return Journalled(found, self.unreachable)

    async def read(self) -> list[DeadLetter]:
        return self.letters

    def set_aside(self, usage: UsageRecorded, content: bytes | None = None) -> None:
        record = StoredRecord(usage.type, 0, len(self.letters), b"key", content or usage.encode("gateway"))
        letter = dead_letter(dead_letters.encode(SetAside(record, "invalid fields"), group="ledger"))
        assert letter is not None
        self.letters.append(letter)


class Scene:
    """One window of ten minutes, over and settled, in a ledger of its own."""

    def __init__(self, ledger: Ledger, make: Factory, clock: ManualClock) -> None:
        self.ledger, self.make, self.clock = ledger, make, clock
        self.witness = Witness()
        start = clock.now().replace(minute=0, second=0, microsecond=0)
        self.window = Window(start, start + timedelta(minutes=MINUTES))
        clock.instant = start + timedelta(hours=3)
        self.reconciling = Reconciling(ledger.database, clock, self.witness, self.witness)

    async def count(self, admitted: int, *, minutes: range = range(MINUTES), instance: str = GATEWAY) -> None:
        """`admitted` calls in the first of these minutes, none in the others."""
        events = []
        for number in minutes:
            start = self.window.start + timedelta(minutes=number)
            events.append(
                CallsCounted(
                    id=fact_id("calls-counted", instance, start),
                    time=start + timedelta(minutes=1),
                    gateway_instance=instance,
                    window_start=start,
                    window_end=start + timedelta(minutes=1),
                    admitted=admitted if number == minutes.start else 0,
                )
            )
        await self.ledger.deliver(*events)

    def usage(self, account_id: UUID, *, journalled: bool = True, **more: object) -> UsageRecorded:
        usage = self.make.usage(account_id, admitted_at=self.window.start + timedelta(seconds=30), **more)
        if journalled:
            self.witness.ids.setdefault(GATEWAY, {})[usage.id] = usage.admitted_at
        return usage

    def repairing(self) -> Repairing:
        booking = Booking(self.ledger.catalogue, self.clock, 10)
        return Repairing(self.ledger.database, self.clock, self.ledger.consumer, booking)

    async def differences(self) -> list[Any]:
        return await self.ledger.rows("SELECT * FROM outbox WHERE topic = 'ledger.reconciliation-differed.v1'")


@pytest.fixture
async def scene(bare_ledger: Ledger, make: Factory, clock: ManualClock) -> Scene:
    await bare_ledger.deliver(make.plan())
    return Scene(bare_ledger, make, clock)


async def new_account(scene: Scene) -> UUID:
    account_id = uuid4()
    await scene.ledger.deliver(scene.make.created(account_id), scene.make.activated(account_id))
    return account_id


async def test_a_window_whose_calls_are_all_booked_is_equal_and_asks_nobody(scene: Scene) -> None:
    account_id = await new_account(scene)
    free = scene.usage(account_id, outcome="upstream_error", basis="none", tokens=0)
    await scene.ledger.deliver(scene.usage(account_id), scene.usage(account_id), free)
    await scene.count(3)

    (found,) = await scene.reconciling.reconcile(scene.window)

    assert (found.is_equal, found.booked, found.silent_minutes) == (True, 3, 0)
    assert scene.witness.asked == 0
    assert not await scene.differences()


async def test_a_call_that_nobody_accounts_for_is_named_once(scene: Scene) -> None:
    account_id = await new_account(scene)
    lost = scene.usage(account_id)
    await scene.ledger.deliver(scene.usage(account_id))
    await scene.count(2)

    for _ in range(2):
        (found,) = await scene.reconciling.reconcile(scene.window)

    assert (found.is_equal, found.missing) == (False, (lost.id,))
    (event,) = await scene.ledger.sent("ledger.reconciliation-differed.v1")
    assert event["missing"] == [str(lost.id)]
    await scene.ledger.deliver(lost)
    (found,) = await scene.reconciling.reconcile(scene.window)
    assert found.is_equal


async def test_parked_and_set_aside_calls_are_accounted_for(scene: Scene) -> None:
    account_id = await new_account(scene)
    waiting, bad = scene.usage(uuid4()), scene.usage(account_id)
    await scene.ledger.deliver(scene.usage(account_id), waiting)
    scene.witness.set_aside(bad, bad.encode("gateway").replace(b'"completed"', b'"exploded"'))
    await scene.count(3)

    (found,) = await scene.reconciling.reconcile(scene.window)

    assert (found.is_equal, found.booked, found.parked, found.set_aside) == (True, 1, 1, 1)


async def test_a_call_that_is_set_aside_and_booked_counts_once(scene: Scene) -> None:
    account_id = await new_account(scene)
    usage = scene.usage(account_id)
    lost = scene.usage(account_id)
    await scene.ledger.deliver(usage)
    scene.witness.set_aside(usage)
    await scene.count(2)

    (found,) = await scene.reconciling.reconcile(scene.window)

    assert (found.booked, found.set_aside, found.missing) == (1, 0, (lost.id,))


async def test_a_booked_call_that_no_journal_holds_is_named(scene: Scene) -> None:
    account_id = await new_account(scene)
    stray = scene.usage(account_id, journalled=False)
    await scene.ledger.deliver(scene.usage(account_id), stray)
    await scene.count(1)

    (found,) = await scene.reconciling.reconcile(scene.window)

    assert (found.is_equal, found.unexpected) == (False, (stray.id,))


async def test_a_gateway_that_fell_silent_is_told_and_its_journal_is_the_witness(scene: Scene) -> None:
    account_id = await new_account(scene)
    await scene.ledger.deliver(scene.usage(account_id), scene.usage(account_id))
    await scene.count(2, minutes=range(4))

    (found,) = await scene.reconciling.reconcile(scene.window)

    assert (found.is_equal, found.silent_minutes, found.journalled) == (True, 6, 2)


async def test_a_gateway_that_does_not_answer_is_named_and_the_counts_decide(scene: Scene) -> None:
    account_id = await new_account(scene)
    await scene.ledger.deliver(scene.usage(account_id))
    await scene.count(2)
    scene.witness.ids.clear()
    scene.witness.unreachable = ("http://gateway:8080",)

    (found,) = await scene.reconciling.reconcile(scene.window)

    assert (found.is_equal, found.missing, found.unreachable) == (False, (), ("http://gateway:8080",))


async def test_an_instance_that_books_and_never_counted_is_looked_at(scene: Scene) -> None:
    account_id = await new_account(scene)
    usage = scene.usage(account_id, journalled=False, gateway_instance="gateway-9")
    await scene.ledger.deliver(usage)

    (found,) = await scene.reconciling.reconcile(scene.window)

    assert (found.gateway_instance, found.admitted, found.booked, found.is_equal) == ("gateway-9", 0, 1, False)


async def test_a_minute_told_twice_counts_once(scene: Scene) -> None:
    account_id = await new_account(scene)
    await scene.ledger.deliver(scene.usage(account_id))
    await scene.count(1)
    await scene.count(1)

    (found,) = await scene.reconciling.reconcile(scene.window)

    assert (found.admitted, found.is_equal) == (1, True)


async def test_repair_applies_what_waits_without_need_and_what_decodes_now(scene: Scene) -> None:
    account_id, late_account = await new_account(scene), uuid4()
    waiting, letter, broken = scene.usage(late_account), scene.usage(account_id), scene.usage(account_id)
    await scene.ledger.deliver(waiting)
    # The account is there, but nobody told the parked event.
    async with scene.ledger.database.transaction() as session:
        await insert_account(session, late_account, now=scene.clock.now())
    scene.witness.set_aside(letter)
    scene.witness.set_aside(broken, broken.encode("gateway").replace(b'"completed"', b'"exploded"'))
    await scene.count(3)

    repaired = await scene.repairing().repair(scene.window, scene.witness.letters)

    assert (repaired.parked, repaired.dead_letters) == (1, 1)
    assert repaired.refused == [f"{broken.id}: gateway.usage-recorded.v1: invalid fields: outcome"]
    (found,) = await scene.reconciling.reconcile(scene.window)
    assert (found.booked, found.parked, found.set_aside, found.is_equal) == (2, 0, 1, True)


async def test_repair_ends_a_call_whose_event_the_topic_still_has_and_names_the_others(scene: Scene) -> None:
    """(money.md 31): an orphan report and a real end are both ends."""
    account_id = await new_account(scene)
    lost, orphan, gone = scene.usage(account_id), scene.usage(account_id), scene.usage(account_id)
    topic = Kept([lost, scene.make.orphaned(orphan)])
    await scene.count(3)
    before = await scene.reconciling.reconcile(scene.window)
    repaired, repairing = Repaired(), scene.repairing()

    for _ in range(2):
        await repairing.end_missing(before, topic=topic, journals=Remembering(topic), repaired=repaired)

    assert (repaired.found_again, repaired.orphaned, repaired.nowhere) == (4, 0, [gone.id, gone.id])
    (found,) = await scene.reconciling.reconcile(scene.window)
    assert (found.booked, found.missing) == (2, (gone.id,))
    rows = await scene.ledger.rows("SELECT outcome, price_nano > 0 AS paid FROM charge ORDER BY outcome")
    assert [tuple(row) for row in rows] == [("completed", True), ("orphaned", False)]


async def test_repair_has_the_gateway_end_what_is_in_neither_place_and_its_real_end_still_counts(scene: Scene) -> None:
    """(money.md 14, 31)."""
    account_id = await new_account(scene)
    gone, late = scene.usage(account_id), scene.usage(account_id)
    topic = Kept([])
    journals = Remembering(topic, scene.make.orphaned(gone), scene.make.orphaned(late))
    await scene.count(2)
    repaired = Repaired()

    before = await scene.reconciling.reconcile(scene.window)
    await scene.repairing().end_missing(before, topic=topic, journals=journals, repaired=repaired)
    await scene.ledger.deliver(late)

    assert (repaired.orphaned, repaired.on_the_way, repaired.nowhere, repaired.refused) == (2, [], [], [])
    (found,) = await scene.reconciling.reconcile(scene.window)
    assert (found.booked, found.is_equal) == (2, True)
    rows = await scene.ledger.rows("SELECT outcome, price_nano > 0 AS paid FROM charge ORDER BY outcome")
    assert [tuple(row) for row in rows] == [("completed", True), ("orphaned", False)]


class Kept:
    """A topic that holds these."""

    def __init__(self, events: list[UsageRecorded]) -> None:
        self.events = events

    async def find(self, call_ids: Collection[UUID], *, since: datetime) -> list[StoredRecord]:
        kept = [one for one in self.events if one.id in call_ids]
        return [StoredRecord(one.type, 0, n, one.key.encode(), one.encode("gateway")) for n, one in enumerate(kept)]


class Remembering:
    """A gateway that has these calls in its journal, and publishes to a topic."""

    def __init__(self, topic: Kept, *orphans: UsageRecorded) -> None:
        self.topic, self.orphans = topic, orphans

    async def report_lost(self, instance: str, call_ids: Collection[UUID]) -> frozenset[UUID]:
        known = [one for one in self.orphans if instance == GATEWAY and one.id in call_ids]
        self.topic.events += known
        return frozenset(one.id for one in known)


async def test_the_schedule_looks_at_each_settled_window_once_and_at_a_differing_one_again(scene: Scene) -> None:
    account_id = await new_account(scene)
    lost = scene.usage(account_id)
    await scene.count(1)
    schedule = ReconcileSchedule(scene.reconciling, timedelta(hours=1))
    silent = (3 - 1) * 6

    assert await schedule.once() == silent
    await scene.ledger.deliver(lost)
    # All windows after the first are silent: nothing new is known of them before the gateway comes back.
    assert await schedule.once() == 1
    rows = await scene.ledger.rows(
        "SELECT is_equal FROM reconciliation WHERE window_start = :at", at=scene.window.start
    )
    assert [row.is_equal for row in rows] == [True]
    scene.clock.advance(600)
    assert await schedule.once() == 1
    await scene.count(0, minutes=range(100, 110))
    assert await schedule.once() == 9

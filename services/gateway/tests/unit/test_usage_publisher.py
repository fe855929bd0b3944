"""Nobody hears that an event is stored before Kafka or the synced spool has it (money.md 11, 12)."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from gateway.admission.types import Admitted, Amounts
from gateway.usage.journal import Journal
from gateway.usage.kafka import Parcel
from gateway.usage.produce import Answered, answered
from gateway.usage.publisher import UsagePublisher
from gateway.usage.spool import Spool

ACCOUNT = UUID("0199f3a0-0000-7000-8000-00000000000a")


class Link:
    """Takes parcels and acknowledges them when told."""

    def __init__(self) -> None:
        self.sent: list[tuple[Parcel, object]] = []

    def send(self, events, then):
        parcel = Parcel(events[0].topic, 0, list(events))
        self.sent.append((parcel, then))
        return [parcel]

    def answer(self, *, error: str | None = None, link_failed: bool = False) -> None:
        for parcel, then in self.sent:
            parcel.is_acked, parcel.error, parcel.link_failed = error is None, error, link_failed
            then(parcel)
        self.sent = []


class Links:
    """Stands for the real ones: a link, or none."""

    def __init__(self) -> None:
        self.link: Link | None = Link()
        self.doubts: list[str] = []

    @property
    def is_up(self) -> bool:
        return self.link is not None

    def doubt(self, reason: str) -> None:
        self.doubts.append(reason)
        self.link = None


class World:
    def __init__(self, folder) -> None:
        (folder / "journal").mkdir()
        (folder / "spool").mkdir()
        self.links = Links()
        self.link = self.links.link
        self.spool = Spool(folder / "spool")
        self.spool.start()
        self.journal = Journal(folder / "journal")
        self.journal.start()
        self.publisher = UsagePublisher(
            self.links, instance="g", spool=self.spool, journal=self.journal, bound_s=0.2, linger_s=0.001
        )
        self.heard: list[bool] = []

    def store(self, value: bytes = b"event") -> UUID:
        call_id = uuid4()
        admitted = Admitted(
            call_id=call_id,
            account_id=ACCOUNT,
            admitted_at=datetime(2026, 11, 21, tzinfo=UTC),
            amounts=Amounts(),
            allocation=(),
            plan_id=None,
            plan_version=None,
            markup_bps=0,
        )
        self.journal.admitted(admitted, report=b"{}")
        self.publisher.store_soon(ACCOUNT, call_id, value, self.heard.append, memo=lambda: b"memo")
        return call_id

    async def until_heard(self, count: int = 1) -> None:
        async with asyncio.timeout(5):
            while len(self.heard) < count:  # noqa: ASYNC110  # callbacks
                await asyncio.sleep(0.005)

    async def spooled(self) -> list[bytes]:
        return [call.value async for some in self.publisher.spooled() for call in some]


@pytest_asyncio.fixture
async def world(tmp_path):
    made = World(tmp_path)
    watching = asyncio.create_task(made.publisher.watch())
    yield made
    watching.cancel()
    made.spool.close()
    made.journal.close()


async def test_an_acknowledged_event_is_stored_and_ends_its_call_in_the_journal(world):
    world.store()
    await asyncio.sleep(0.02)
    assert (world.heard, world.journal.open_calls) == ([], 1)

    world.link.answer()
    await asyncio.sleep(0)

    assert (world.heard, world.journal.open_calls, await world.spooled()) == ([True], 0, [])


async def test_events_made_together_travel_together(world):
    for _ in range(5):
        world.store()
    await asyncio.sleep(0.02)

    assert [len(parcel.events) for parcel, _ in world.link.sent] == [5]
    world.link.answer()


async def test_what_is_not_acknowledged_within_the_bound_is_spooled_and_the_link_is_given_up(world):
    call_id = world.store()
    await world.until_heard()

    assert (world.heard, world.links.doubts) == ([True], ["late"])
    [[call]] = [some async for some in world.publisher.spooled()]
    assert call == (ACCOUNT, call_id, b"event", b"memo")
    assert world.journal.open_calls == 0

    world.link.answer()
    assert world.heard == [True]


async def test_without_a_link_an_event_is_spooled_at_once(world):
    world.links.link = None
    world.store()
    await world.until_heard()

    assert await world.spooled() == [b"event"]


async def test_a_partition_that_refuses_costs_its_own_parcel_and_not_the_link(world):
    world.store()
    await asyncio.sleep(0.02)
    world.link.answer(error="NotEnoughReplicasError")
    await world.until_heard()

    assert (world.heard, world.links.doubts, await world.spooled()) == ([True], [], [b"event"])


async def test_a_broken_connection_gives_up_the_link(world):
    world.store()
    await asyncio.sleep(0.02)
    world.link.answer(error="KafkaConnectionError", link_failed=True)
    await world.until_heard()

    assert world.links.doubts == ["KafkaConnectionError"]


async def test_an_event_that_finds_no_place_is_told_as_not_stored_and_remembered(world, tmp_path):
    world.links.link = None
    for path in (tmp_path / "spool").iterdir():
        path.unlink()
    (tmp_path / "spool").rmdir()
    call_id = world.store()
    await world.until_heard()

    assert (world.heard, world.publisher.room) == ([False], False)
    assert (world.publisher.unreported, world.journal.open_calls) == ({call_id}, 1)
    with pytest.raises(RuntimeError):
        await world.publisher.ready()
    (tmp_path / "spool").mkdir()


async def test_whoever_hears_that_an_event_filled_the_spool_finds_no_room(world):
    """(money.md 11): not only when somebody looks the next time."""
    world.links.link = None
    world.spool._most_bytes = 1 << 16
    world.publisher.look_for_room()
    assert world.publisher.room

    assert await world.publisher.store(ACCOUNT, uuid4(), bytes(1 << 16))

    assert not world.publisher.room


async def test_at_the_end_everything_is_acknowledged_or_spooled(world):
    world.store(b"in flight")
    await asyncio.sleep(0.02)
    world.store(b"waiting")

    await world.publisher.stop()

    assert world.heard == [True, True]
    assert sorted(await world.spooled()) == [b"in flight", b"waiting"]
    assert not world.publisher.room


def test_an_answer_of_the_broker_names_each_partitions_error():
    topic = b"\x00\x01t" + b"\x00\x00\x00\x02"
    rest = bytes(8 + 8 + 8)
    body = b"\x00\x00\x00\x01" + topic + b"\x00\x00\x00\x05\x00\x00" + rest + b"\x00\x00\x00\x06\x00\x13" + rest

    assert answered(bytes(3) + b"\x07" + body + bytes(4)) == (7, [Answered("t", 5, 0), Answered("t", 6, 19)])

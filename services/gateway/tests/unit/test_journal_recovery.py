"""What a dead process left is told by the next one, whatever it is called (money.md 11); Kafka is away here."""

import asyncio
import os
import shutil
import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

import orjson
import pytest

from gateway.admission.types import Admitted, Amounts
from gateway.usage.durability import Durability, DurabilitySettings, tidy
from gateway.usage.event import CallFacts, caller_part
from gateway.usage.folders import FolderInUseError, instance_folders
from kit.clock import SystemClock
from kit.ids import uuid7

NOWHERE = "127.0.0.1:1"
ACCOUNT = uuid4()


def durability(folder, instance: str = "g", **changes) -> Durability:
    settings = DurabilitySettings(folder, **changes)
    return Durability(settings, bootstrap=NOWHERE, instance=instance, clock=SystemClock())


def admit(running: Durability, *, at: datetime | None = None) -> Admitted:
    part = caller_part(ACCOUNT, None, user_id=None, api_key_id=None)
    facts = CallFacts(
        part, account_id=ACCOUNT, surface="/v1/messages", streamed=False, model_asked="m", price_book_version=1
    )
    call = Admitted(
        call_id=uuid7(SystemClock()), account_id=ACCOUNT, admitted_at=at or datetime.now(UTC), amounts=Amounts(),
        allocation=(), plan_id=None, plan_version=None, markup_bps=0,
    )  # fmt: skip
    running.journal.admitted(call, report=facts.report(instance=running.instance, route="anthropic"))
    return call


async def orphans(running: Durability) -> dict[UUID, dict]:
    async with asyncio.timeout(10):
        await running.recovered.wait()
    events = [orjson.loads(call.value) async for some in running.publisher.spooled() for call in some]
    return {UUID(event["id"]): event["data"] for event in events if event["data"].get("outcome") == "orphaned"}


@pytest.mark.parametrize("name", ["g", "another"])
async def test_calls_without_an_end_are_orphaned_at_the_next_start_and_ended_ones_are_not(tmp_path, name):
    first = durability(tmp_path)
    await first.start()
    left, ended = admit(first), admit(first)
    assert await first.publisher.store(ACCOUNT, ended.call_id, b'{"id":"%b","data":{}}' % str(ended.call_id).encode())
    await first.stop()

    second = durability(tmp_path, name)
    await second.start()
    found = await orphans(second)
    await second.stop()

    assert set(found) == {left.call_id}
    assert found[left.call_id]["gateway_instance"] == "g"
    third = durability(tmp_path, "third")
    await third.start()
    assert len(await orphans(third)) == 1
    await third.stop()


async def test_a_call_whose_end_lies_in_the_spool_is_not_orphaned_though_the_journal_did_not_hear_of_it(tmp_path):
    first = durability(tmp_path)
    await first.start()
    call = admit(first)
    first.journal.ended = lambda _: None  # type: ignore[method-assign]  # the process dies between the two writes
    assert await first.publisher.store(ACCOUNT, call.call_id, b'{"id":"%b","data":{}}' % str(call.call_id).encode())
    await first.stop()

    second = durability(tmp_path, "second")
    await second.start()
    assert await orphans(second) == {}
    await second.stop()


async def test_a_call_whose_event_found_no_place_is_orphaned_once_there_is_place(tmp_path):
    running = durability(tmp_path)
    await running.start()
    call = admit(running)
    shutil.rmtree(running.folder.spool)
    assert not await running.publisher.store(ACCOUNT, call.call_id, b"{}")
    assert not running.publisher.room

    running.folder.spool.mkdir()
    async with asyncio.timeout(10):
        while running.journal.open_calls:  # noqa: ASYNC110  # a background task's state
            await asyncio.sleep(0.05)

    assert set(await orphans(running)) == {call.call_id}
    await running.stop()


async def test_a_second_process_of_the_same_name_refuses_to_start(tmp_path):
    first = durability(tmp_path)
    await first.start()

    with pytest.raises(FolderInUseError):
        await durability(tmp_path).start()
    await first.stop()


async def test_a_spool_without_room_for_the_events_of_open_calls_admits_no_more(tmp_path):
    running = durability(tmp_path, spool_bytes=3 * 4096)
    await running.start()
    await running.ready()
    for _ in range(4):
        admit(running)
    running.publisher.look_for_room()

    with pytest.raises(RuntimeError):
        await running.ready()
    await running.stop()


async def test_folders_of_dead_processes_go_when_their_admissions_are_too_old(tmp_path):
    for name in ("first", "second"):
        running = durability(tmp_path, name)
        await running.start()
        admit(running)
        await orphans(running)
        await running.stop()
    third = durability(tmp_path, "third")
    await third.start()
    await orphans(third)

    tidy(tmp_path, kept_s=3600)
    assert len(instance_folders(tmp_path)) == 3
    for path in tmp_path.glob("*/journal/*.ids"):
        os.utime(path, (time.time() - 7200,) * 2)
    tidy(tmp_path, kept_s=3600)

    assert [folder.instance for folder in instance_folders(tmp_path)] == ["third"]
    await third.stop()


async def test_a_window_of_admissions_is_listed_for_every_instance_of_the_folder(tmp_path):
    noon = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
    running = durability(tmp_path)
    await running.start()
    call = admit(running, at=noon)

    window = {"start": noon.replace(second=0), "end": noon.replace(minute=1)}
    assert await running.journalled("g", **window) == [call.call_id]
    assert await running.journalled("unknown", **window) is None
    await running.stop()


async def reported(running: Durability) -> dict[UUID, dict]:
    events = [orjson.loads(call.value) async for some in running.publisher.spooled() for call in some]
    return {UUID(event["id"]): event["data"] for event in events if event["data"]}


@pytest.mark.parametrize("reduced", [False, True])
async def test_an_ended_call_whose_event_is_nowhere_is_reported_on_demand_with_all_that_is_known(tmp_path, reduced):
    running = durability(tmp_path)
    await running.start()
    ended, left = admit(running), admit(running)
    first = b'{"id":"%b","data":{}}' % str(ended.call_id).encode()
    assert await running.publisher.store(ACCOUNT, ended.call_id, first)
    if reduced:
        running.journal.ended([left.call_id])
        await running.stop()
        running = durability(tmp_path)
        await running.start()
        await running.journal.maintain()
        assert list(running.folder.journal.glob("*.ids"))

    asked = [ended.call_id, uuid7(SystemClock())]
    assert await running.report_lost("g", asked) == [ended.call_id]
    assert await running.report_lost("unknown", asked) is None

    found = await reported(running)
    assert set(found) == {ended.call_id}
    data = found[ended.call_id]
    assert (data["outcome"], data["account_id"], data["model_asked"]) == ("orphaned", str(ACCOUNT), "m")
    await running.stop()


async def test_a_call_that_is_open_is_not_reported_as_lost(tmp_path):
    running = durability(tmp_path)
    await running.start()
    left = admit(running)

    assert await running.report_lost("g", [left.call_id]) == []
    await running.stop()

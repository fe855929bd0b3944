"""Every admission is on disk before its call is dispatched, and stays listed for two days (money.md 11)."""

import asyncio
import os
import resource
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission.types import Admitted, Allocation, Amounts
from gateway.usage import journal_files
from gateway.usage.folders import FolderInUseError, InstanceFolder, unheld
from gateway.usage.journal import Journal, JournalError
from kit.clock import ManualClock
from kit.ids import uuid7

NOON = datetime(2026, 11, 21, 12, 0, 30, 123456, tzinfo=UTC)
ACCOUNT = UUID("0199f3a0-0000-7000-8000-00000000000a")
REPORT = b'{"account_id":"0199f3a0-0000-7000-8000-00000000000a","surface":"/v1/messages"}'
SPLIT = (Allocation("0199f3a0-0000-7000-8000-0000000000aa", "credit", 2**53 + 1),)


def admitted(at: datetime = NOON, allocation=SPLIT) -> Admitted:
    return Admitted(
        call_id=uuid7(ManualClock(at)),
        account_id=ACCOUNT,
        admitted_at=at,
        amounts=Amounts(),
        allocation=allocation,
        plan_id="trial",
        plan_version=1,
        markup_bps=0,
    )


def started(folder: Path, **changes) -> Journal:
    journal = Journal(folder, **changes)
    journal.start()
    return journal


async def journalled(journal: Journal, *calls: Admitted) -> list[Exception | None]:
    heard: list[Exception | None] = []
    for call in calls:
        journal.admitted_soon(call, report=REPORT, then=heard.append)
    while len(heard) < len(calls):  # noqa: ASYNC110  # callbacks
        await asyncio.sleep(0)
    return heard


async def test_calls_of_one_turn_are_written_in_one_record_each_before_anybody_hears(tmp_path):
    journal, calls = started(tmp_path), [admitted(), admitted()]
    on_disk: list[int] = []

    for call in calls:
        journal.admitted_soon(
            call, report=REPORT, then=lambda _: on_disk.append(len(journal_files.read(tmp_path).open))
        )
    await asyncio.sleep(0.01)

    assert on_disk == [2, 2]


async def test_what_waits_can_be_written_before_the_turn_ends(tmp_path):
    journal, call, heard = started(tmp_path), admitted(), []
    journal.write_waiting()

    journal.admitted_soon(call, report=REPORT, then=heard.append)
    journal.write_waiting()

    assert (heard, list(journal_files.read(tmp_path).open)) == ([None], [call.call_id])
    await asyncio.sleep(0)
    assert len(heard) == 1


async def test_a_call_without_an_end_is_found_with_all_that_its_orphan_needs(tmp_path):
    journal, left, ended = started(tmp_path), admitted(), admitted()
    await journalled(journal, left, ended)
    journal.ended([ended.call_id])
    await asyncio.sleep(0)

    (found,) = Journal(tmp_path).start()

    assert (found.call_id, found.admitted_at, found.allocation) == (left.call_id, NOON, SPLIT)
    assert (found.report, found.account_id) == (REPORT, ACCOUNT)


async def test_admissions_are_listed_by_window_also_after_their_segment_was_reduced(tmp_path):
    journal = started(tmp_path, segment_bytes=1)
    calls = [admitted(NOON + timedelta(minutes=minute)) for minute in range(5)]
    for call in calls:
        await journalled(journal, call)
    journal.ended([call.call_id for call in calls])
    await asyncio.sleep(0)

    await journal.maintain()

    window = [journal_files.microseconds_of(NOON + timedelta(minutes=minute)) for minute in (1, 4)]
    assert journal_files.ids_between(tmp_path, *window) == [call.call_id for call in calls[1:4]]
    assert len(list(tmp_path.glob("*.ids"))) == 5
    assert Journal(tmp_path).start() == []


async def test_the_list_that_is_kept_while_writing_is_the_one_that_the_segment_gives(tmp_path):
    journal, calls = started(tmp_path), [admitted(NOON + timedelta(seconds=second)) for second in range(5)]
    await journalled(journal, *calls)
    journal.ended([call.call_id for call in calls])
    journal.close()
    segment = (tmp_path / "0000000001.journal").read_bytes()

    assert await journal.retire()
    kept = (tmp_path / "0000000001.ids").read_bytes()
    (tmp_path / "0000000001.journal").write_bytes(segment)
    journal_files.reduce_to_ids(tmp_path, 1)

    assert (tmp_path / "0000000001.ids").read_bytes() == kept
    assert [call_id for _, call_id in journal_files.admissions(tmp_path)] == [call.call_id for call in calls]


async def test_a_segment_with_an_open_call_is_kept_whole_and_so_are_the_ends_behind_it(tmp_path):
    journal = started(tmp_path, segment_bytes=1)
    left, ended = admitted(), admitted()
    await journalled(journal, left)
    await journalled(journal, ended)
    journal.ended([ended.call_id])
    await asyncio.sleep(0)

    await journal.maintain()

    assert [call.call_id for call in Journal(tmp_path).start()] == [left.call_id]
    assert not list(tmp_path.glob("*.ids"))


async def test_lists_of_admissions_are_deleted_when_nobody_may_ask_for_them_any_more(tmp_path):
    journal = started(tmp_path, segment_bytes=1, kept_s=3600)
    for call in (admitted(), admitted()):
        await journalled(journal, call)
        journal.ended([call.call_id])
    await asyncio.sleep(0)
    await journal.maintain()
    old, young = sorted(tmp_path.glob("*.ids"))[:2]
    os.utime(old, (0, 0))

    await journal.maintain()

    assert not old.exists()
    assert young.exists()


async def test_a_full_disk_refuses_calls_until_it_takes_records_again(tmp_path):
    journal, first = started(tmp_path), admitted()
    await journalled(journal, first)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, unlimited[1]))
    try:
        heard = await journalled(journal, admitted(), admitted())
        broken = journal.is_broken
        with pytest.raises(JournalError):
            journal.admitted(admitted(), report=REPORT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    await journal.maintain()
    later = admitted()

    assert [type(error) for error in heard] == [JournalError, JournalError]
    assert (broken, journal.is_broken) == (True, False)
    assert await journalled(journal, later) == [None]
    contents = journal_files.read(tmp_path)
    assert set(contents.open) == {first.call_id, later.call_id}
    assert contents.damage.places == 0


def test_two_processes_never_share_a_folder_and_a_folder_nobody_holds_can_be_taken(tmp_path):
    first = InstanceFolder.of(tmp_path, "g/1").hold()

    with pytest.raises(FolderInUseError):
        InstanceFolder.of(tmp_path, "g/1").hold()
    assert InstanceFolder.of(tmp_path, "g/1").is_in_use()
    assert list(unheld(tmp_path)) == []

    first.release()
    assert [folder.instance for folder in unheld(tmp_path)] == ["g/1"]
    InstanceFolder.of(tmp_path, "g/1").hold().release()


@given(data=st.data())
async def test_a_journal_cut_anywhere_never_loses_a_call_before_the_cut_nor_invents_one(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("journal")
    journal = started(folder)
    calls = [admitted(allocation=()) for _ in range(data.draw(st.integers(1, 5)))]
    sizes = []
    path = next(folder.glob("*.journal"))
    for call in calls:
        journal.admitted(call, report=REPORT)
        sizes.append(path.stat().st_size)
    journal.close()
    cut = data.draw(st.integers(0, sizes[-1]))
    os.truncate(path, cut)

    found = {call.call_id for call in Journal(folder).start()}

    assert found == {call.call_id for call, size in zip(calls, sizes, strict=True) if size <= cut}


def test_an_unknown_instance_has_no_folder(tmp_path):
    assert not InstanceFolder.of(tmp_path, str(uuid4())).journal.is_dir()

"""What Kafka does not take waits on disk: synced, bounded, in order, in the same bytes."""

import asyncio
import os
import resource
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from gateway.usage import spool_files
from gateway.usage.outgoing import Outgoing
from gateway.usage.spool import Spool
from kit.partitions import key_hash

TOPIC = "gateway.usage-recorded.v1"


def outgoing(value: bytes, *, memo: bytes = b"", account: UUID | None = None) -> Outgoing:
    key = str(account or uuid4()).encode()
    return Outgoing(TOPIC, key, key_hash(key), value, uuid4(), None, lambda: memo, 0.0)


def started(folder, **changes) -> Spool:
    spool = Spool(folder, **changes)
    spool.start()
    return spool


async def stored(spool: Spool, *events: Outgoing) -> bool:
    heard: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    spool.store_soon(events, lambda _, ok: heard.set_result(ok))
    return await heard


async def replayed(spool: Spool) -> list[bytes]:
    found = []
    while True:
        events, position = await spool.next_batch()
        if not events:
            return found
        found += [event.value for event in events]
        await spool.acknowledged(position, len(events))


async def test_events_come_back_in_order_and_in_the_same_bytes_after_a_restart(tmp_path):
    values = [b"%d" % number * 50 for number in range(40)]
    spool = started(tmp_path, segment_bytes=500)
    for value in values:
        assert await stored(spool, outgoing(value))
    spool.close()

    again = started(tmp_path, segment_bytes=500)

    assert await replayed(again) == values
    assert (again.used_bytes, again.events, list(tmp_path.glob("*.spool"))) == (0, 0, [])
    again.close()


async def test_what_is_acknowledged_does_not_come_back_and_what_is_not_does(tmp_path):
    spool = started(tmp_path, segment_bytes=500)
    for number in range(20):
        await stored(spool, outgoing(b"%d" % number * 50))
    events, position = await spool.next_batch()
    await spool.acknowledged(position, len(events))
    spool.close()

    again = started(tmp_path)
    assert [*(event.value for event in events), *await replayed(again)] == [b"%d" % n * 50 for n in range(20)]
    again.close()


async def test_events_written_while_others_are_replayed_are_replayed_after_them(tmp_path):
    spool = started(tmp_path)
    await stored(spool, outgoing(b"first"))
    events, position = await spool.next_batch()
    await stored(spool, outgoing(b"second"))
    await spool.acknowledged(position, len(events))

    assert await replayed(spool) == [b"second"]
    await stored(spool, outgoing(b"third"))
    assert await replayed(spool) == [b"third"]
    spool.close()


async def test_one_sync_serves_all_that_waits(tmp_path):
    spool, heard = started(tmp_path), []
    for number in range(50):
        spool.store_soon([outgoing(b"%d" % number)], lambda events, ok: heard.append((events[0].value, ok)))
    while len(heard) < 50:  # noqa: ASYNC110  # callbacks
        await asyncio.sleep(0.001)

    assert heard == [(b"%d" % number, True) for number in range(50)]
    spool.close()


async def test_a_spool_that_is_full_has_no_room_and_has_it_again_after_replay(tmp_path):
    spool = started(tmp_path, most_bytes=2000)
    assert spool.has_room(1000)
    await stored(spool, outgoing(b"x" * 1500))

    assert not spool.has_room(1000)

    await replayed(spool)
    assert spool.has_room(1000)
    spool.close()


async def test_a_full_disk_is_told_and_forgiven(tmp_path):
    spool = started(tmp_path)
    await stored(spool, outgoing(b"before"))
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, unlimited[1]))
    try:
        refused = await stored(spool, outgoing(b"x" * 500))
        had_room = spool.has_room(0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    await spool.try_again()

    assert (refused, had_room, spool.has_room(0)) == (False, False, True)
    assert await stored(spool, outgoing(b"after"))
    assert await replayed(spool) == [b"before", b"after"]
    spool.close()


async def test_another_processs_events_are_taken_over_with_its_files(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    dead, ours = started(tmp_path / "a"), started(tmp_path / "b")
    left = outgoing(b"left")
    await stored(dead, left)
    dead.close()
    await stored(ours, outgoing(b"ours"))

    assert await ours.adopt(tmp_path / "a") == {left.event_id}
    await stored(ours, outgoing(b"new"))

    assert await replayed(ours) == [b"ours", b"left", b"new"]
    ours.close()


async def test_the_memo_of_an_event_stays_with_it(tmp_path):
    spool = started(tmp_path)
    await stored(spool, outgoing(b"event", memo=b"memo"))

    [[(event, memo)]] = [some async for some in spool.unacknowledged()]

    assert [[(event.value, memo)]] == [[(b"event", b"memo")]]
    spool.close()


@given(data=st.data())
async def test_a_spool_damaged_anywhere_gives_back_all_whole_events_and_goes_on(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("spool")
    spool = started(folder)
    values = [b"%d" % number * 9 for number in range(data.draw(st.integers(1, 5)))]
    ends = []
    for value in values:
        await stored(spool, outgoing(value))
        ends.append(next(folder.glob("*.spool")).stat().st_size)
    spool.close()
    path, starts = next(folder.glob("*.spool")), [0, *ends[:-1]]
    hit = data.draw(st.integers(0, ends[-1] - 1))
    if data.draw(st.booleans()):
        os.truncate(path, hit)
        whole = [value for value, end in zip(values, ends, strict=True) if end <= hit]
    else:
        content = bytearray(path.read_bytes())
        content[hit] ^= 0xFF
        path.write_bytes(content)
        whole = [v for v, start, end in zip(values, starts, ends, strict=True) if not start <= hit < end]

    again = started(folder)
    assert await stored(again, outgoing(b"later"))

    assert await replayed(again) == [*whole, b"later"]
    assert spool_files.size_of(folder) == 0
    again.close()

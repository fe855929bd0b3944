"""Redis away, slow, demoted, behind: what is undone, what is open, and how much is overspent (money.md 29, 30)."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
import pytest_asyncio

from contracts.terms import Limits, Terms
from gateway.admission import AccountTerms, Admission, AdmissionUnavailableError, Amounts, Refused
from kit.clock import SystemClock
from kit.ids import uuid7
from sandbox.stack.ports import free_ports
from sandbox.stack.redis import Redis as RedisServer

from .conftest import Gateways

pytestmark = pytest.mark.long


async def until(condition, *, within_s=15.0):
    deadline = asyncio.get_running_loop().time() + within_s
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, "it did not happen"
        await asyncio.sleep(0.02)


class Relay:
    """Forwards one port to the server that leads, as a proxy or a moved address would."""

    def __init__(self):
        self.target = 0
        self.port = 0
        self._server = None
        self._open = set()

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        try:
            upstream, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        self._open |= {writer, back}
        await asyncio.gather(self._copy(reader, back), self._copy(upstream, writer))

    async def _copy(self, reader, writer):
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()

    async def stop(self):
        self._server.close()
        for writer in self._open:
            writer.close()


@pytest_asyncio.fixture(loop_scope="session")
async def pair(tmp_path: Path):
    """A server, one that follows it, and the one address at which gateways find the leader."""
    servers = [
        RedisServer(tmp_path / name, port=free_ports(1)[0], log_path=tmp_path / f"{name}.log") for name in ("a", "b")
    ]
    for server in servers:
        await server.start()
    relay = Relay()
    relay.target = servers[0].port
    await relay.start()
    yield (*servers, relay)
    await relay.stop()
    for server in servers:
        await server.stop()


async def test_a_stale_follower_that_takes_over_overspends_at_most_what_is_not_entered_again(pair, ledger, call):
    """(money.md 30): the figure is in the assertion."""
    leader, follower, relay = pair
    direct = Gateways(leader.url, ledger)
    behind = Gateways(follower.url, ledger)
    gateways = Gateways(f"redis://127.0.0.1:{relay.port}/0", ledger)
    try:
        alive, dying = await gateways.make(), await gateways.make()
        books = ledger.open(1000)
        early = call(books.account_id, 100)
        await alive.admit(early)
        await behind.redis("REPLICAOF", "127.0.0.1", str(leader.port))

        async def follows():
            return b"master_link_status:up" in await direct_info(follower.port)

        await until(follows)
        await cut(follower.port, leader)
        # What comes now never reaches the follower.
        kept, lost = call(books.account_id, 300), call(books.account_id, 250)
        await alive.admit(kept)
        await dying.admit(lost)
        await gateways.crash(dying)
        await leader.kill()
        await said(follower.port, "REPLICAOF", "NO", "ONE")
        relay.target = follower.port

        more = []
        for _ in range(200):
            try:
                answer = await alive.admit(call(books.account_id, 50))
            except AdmissionUnavailableError:
                await asyncio.sleep(0.05)
                continue
            if isinstance(answer, Refused):
                assert answer.reason == "credit"
                break
            more.append(answer)

        held = 100 + 300 + sum(answer.reserved_nano for answer in more)
        overspent = held + 250 - 1000
        assert held <= 1000
        bound = 250
        assert 0 < overspent <= bound, f"{overspent} overspent; the dead gateway could not enter {bound} again"
    finally:
        await gateways.close()
        await direct.close()
        await behind.close()


async def direct_info(port):
    return await said(port, "INFO", "replication")


async def said(port, *words):
    """One command, without asking who leads."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"*{len(words)}\r\n".encode() + b"".join(f"${len(w)}\r\n{w}\r\n".encode() for w in words))
    line = await reader.readline()
    body = await reader.readexactly(int(line[1:])) if line.startswith(b"$") else line
    writer.close()
    return body


async def cut(port, leader):
    """The follower hears nothing any more, and does not know it yet."""
    await said(port, "CONFIG", "SET", "repl-timeout", "3600")
    await said(leader.port, "CLIENT", "KILL", "TYPE", "replica")
    await said(port, "REPLICAOF", "127.0.0.1", "1")


@pytest.mark.parametrize("processes", [1, 3])
async def test_redis_killed_under_load_and_empty_again_overspends_at_most_what_others_have_not_entered(
    own_redis, own_gateways, ledger, call, processes
):
    """(money.md 29, 30): a gateway enters its own calls before it admits, so alone it overspends nothing."""
    gateways = [await own_gateways.make() for _ in range(processes)]
    books = ledger.open(400)
    admitted, stopped = [], asyncio.Event()

    async def load(admission):
        while not stopped.is_set():
            try:
                answer = await admission.admit(call(books.account_id, 1))
            except AdmissionUnavailableError:
                await asyncio.sleep(0.01)
                continue
            if not isinstance(answer, Refused):
                admitted.append(answer.call_id)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(load(admission)) for admission in gateways for _ in range(4)]
    bound = 0
    for _ in range(3):
        await asyncio.sleep(0.1)
        await own_redis.kill()
        of_each = [len(admission.open_calls) for admission in gateways]
        bound = max(bound, sum(of_each) - min(of_each))
        for file in filter(Path.is_file, own_redis._folder.rglob("*")):
            file.unlink()
        await own_redis.start()
    await asyncio.sleep(2.5)
    stopped.set()
    await asyncio.gather(*tasks)

    overspent = len(set(admitted)) - 400
    assert overspent <= bound, f"{overspent} overspent; others had not entered {bound} again at the worst"
    assert set().union(*(admission.open_calls for admission in gateways)) == set(admitted)

    async def undone():
        return not any(admission._calls.ended.undone for admission in gateways)

    await until(undone)
    entries = (await own_gateways.look(books.account_id)).entries
    held = {call_id for call_id, (state, _) in entries.items() if state == "held"}
    assert held == set(admitted)


async def test_an_admission_whose_answer_was_lost_is_given_back_as_soon_as_redis_answers(
    own_redis, own_gateways, ledger, call
):
    """Not after the sweeper's patience; the entry stays for the ledger (money.md 6)."""
    admission = await own_gateways.make(patience_s=10_000)
    books = ledger.open(1000, limits=Limits(requests_per_minute=100, concurrency=4))
    await own_gateways.available(admission, books.account_id)
    wish = call(books.account_id, 400)
    os.kill(own_redis.pid, signal.SIGSTOP)
    try:
        with pytest.raises(AdmissionUnavailableError):
            await admission.admit(wish)
    finally:
        os.kill(own_redis.pid, signal.SIGCONT)

    async def undone():
        return not admission._calls.ended.undone

    await until(undone)
    await asyncio.sleep(0.3)
    sight = await own_gateways.look(books.account_id)
    assert sight.entries.get(wish.call_id, ("swept", "")) == ("swept", "")
    assert wish.call_id in sight.entries or wish.call_id in sight.confirmed
    assert not sight.flight
    standing = await admission.state(books.account_id)
    assert standing.requests.remaining == 100
    assert await own_gateways.available(admission, books.account_id) == 1000
    with pytest.raises(AdmissionUnavailableError, match="ended already"):
        await admission.admit(wish)


async def test_an_admitted_call_that_never_began_is_given_back_and_left_to_be_reported(gateways, ledger, call):
    admission = await gateways.make(patience_s=0.5)
    books = ledger.open(1000)
    wish = call(books.account_id, 400)
    await admission.admit(wish)

    admission.never_began(wish.call_id, account_id=books.account_id)

    async def swept():
        return (await gateways.look(books.account_id)).entries == {wish.call_id: ("swept", "")}

    await until(swept)
    assert await gateways.available(admission, books.account_id) == 1000
    assert admission.open_calls == frozenset()


async def test_an_admission_that_runs_after_it_was_undone_takes_nothing(gateways, ledger, call):
    """An old connection's commands may be read after a new one's."""
    admission = await gateways.make()
    books = ledger.open(1000)
    await gateways.available(admission, books.account_id)
    wish = call(books.account_id, 400)
    admission.never_began(wish.call_id, account_id=books.account_id)
    await admission._calls.ended.settle_waiting()

    with pytest.raises(AdmissionUnavailableError, match="ended already"):
        await admission.admit(wish)
    assert await gateways.available(admission, books.account_id) == 1000


async def test_while_redis_is_away_a_plans_open_allowance_is_counted_and_entered_afterwards(
    own_redis, own_gateways, ledger, call, plan
):
    """(money.md 30): at most the allowance, per process; closed by default."""
    admission = await own_gateways.make()
    books = ledger.open(1000, terms=Terms(open_allowance_nano=250))
    closed = ledger.open(1000)
    terms, without = [await admission.learn_terms(one.account_id) for one in (books, closed)]
    before = call(books.account_id, 100)
    await admission.admit(before)
    await own_redis.kill()

    wishes = [call(books.account_id, 100) for _ in range(3)]
    opened = [await Admission.admit(admission, plan(wish, terms)) for wish in wishes[:2]]
    with pytest.raises(AdmissionUnavailableError):
        await Admission.admit(admission, plan(wishes[2], terms))
    with pytest.raises(AdmissionUnavailableError):
        await Admission.admit(admission, plan(call(closed.account_id, 1), without))
    assert [(one.open, one.allocation, one.markup_bps) for one in opened] == [(True, (), 0)] * 2
    extended = asyncio.get_running_loop().create_future()
    admission.extend_soon(opened[0].call_id, Amounts(140), extended.set_result)
    assert await extended is True
    refused = asyncio.get_running_loop().create_future()
    admission.extend_soon(opened[0].call_id, Amounts(160), refused.set_result)
    assert isinstance(await refused, AdmissionUnavailableError)
    assert await admission.settle(account_id=books.account_id, call_id=opened[1].call_id, price_nano=60) == "pending"

    for file in filter(Path.is_file, own_redis._folder.rglob("*")):
        file.unlink()
    await own_redis.start()

    async def entered():
        entries = (await own_gateways.look(books.account_id)).entries
        return set(entries) == {before.call_id, *(one.call_id for one in opened)}

    await until(entered)
    assert await own_gateways.available(admission, books.account_id) == 1000 - 100 - 140 - 60


async def test_an_open_call_is_entered_also_when_the_same_run_comes_back(own_redis, own_gateways, ledger, call, plan):
    """(money.md 6, 30)."""
    admission = await own_gateways.make()
    books = ledger.open(1000, terms=Terms(open_allowance_nano=250))
    terms = await admission.learn_terms(books.account_id)
    os.kill(own_redis.pid, signal.SIGSTOP)
    try:
        opened = await Admission.admit(admission, plan(call(books.account_id, 200), terms))
        assert opened.open
    finally:
        os.kill(own_redis.pid, signal.SIGCONT)

    answer = await admission.admit(call(books.account_id, 801))

    assert answer.reason == "credit"
    assert answer.available_nano == 800


async def test_a_server_that_was_demoted_is_left_and_its_memory_not_trusted(pair, ledger, call):
    """(money.md 29): also when it keeps its run id and leads again."""
    leader, follower, relay = pair
    gateways = Gateways(f"redis://127.0.0.1:{relay.port}/0", ledger)
    try:
        admission = await gateways.make()
        books = ledger.open(1000)
        await admission.admit(call(books.account_id, 400))
        await said(leader.port, "REPLICAOF", "127.0.0.1", str(follower.port))

        async def emptied():
            return b"master_link_status:up" in await direct_info(leader.port)

        await until(emptied)
        with pytest.raises(AdmissionUnavailableError):
            await admission.admit(call(books.account_id, 1))
        await said(leader.port, "REPLICAOF", "NO", "ONE")

        async def refused():
            try:
                answer = await admission.admit(call(books.account_id, 601))
            except AdmissionUnavailableError:
                return False
            return answer.reason == "credit"

        await until(refused)
    finally:
        await gateways.close()


async def test_many_open_calls_are_kept_alive_in_pieces(own_gateways, ledger, call, plan):
    """20,000 open calls: the loop is never held for long."""
    admission = await own_gateways.make(patience_s=10_000, most_entries=100_000)
    books = ledger.open(10**9)
    terms = await admission.learn_terms(books.account_id)
    clock, loop = SystemClock(), asyncio.get_running_loop()
    done, left = loop.create_future(), [20_000]

    def then(_answer):
        left[0] -= 1
        if not left[0]:
            done.set_result(None)

    for _ in range(20):
        for _ in range(1000):
            admission.admit_soon(plan(call(books.account_id, 1, call_id=uuid7(clock)), terms), then)
        await asyncio.sleep(0.3)
    await done
    assert len(admission.open_calls) == 20_000
    longest, stopped = [0.0], asyncio.Event()

    async def watch():
        while not stopped.is_set():
            # Of this thread alone: others use the machine too.
            began = time.thread_time()
            await asyncio.sleep(0)
            longest[0] = max(longest[0], time.thread_time() - began)

    watching = asyncio.create_task(watch())
    await admission._calls._keep_all(admission._redis.fast.run.run_id)
    stopped.set()
    await watching
    assert longest[0] < 0.05, f"a turn of the loop took {longest[0] * 1000:.1f} ms"


async def test_terms_of_a_restarted_redis_are_those_of_the_ledger(own_redis, own_gateways, ledger, call):
    admission = await own_gateways.make()
    books = ledger.open(1000)
    await admission.admit(call(books.account_id, 1))
    books.changed(markup_bps=777)
    await own_redis.kill()
    for file in filter(Path.is_file, own_redis._folder.rglob("*")):
        file.unlink()
    await own_redis.start()

    admitted = await admission.admit(call(books.account_id, 100))

    assert admitted.markup_bps == 777
    assert admission.terms_of(books.account_id).digest == AccountTerms.of(books.event()).digest
